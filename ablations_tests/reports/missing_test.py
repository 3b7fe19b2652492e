"""The commands that run what is missing of a study."""

from pathlib import Path

import pytest

from ablations.config import compose, jobs
from ablations.config import study as studies
from ablations.reports import missing
from ablations.runs.folder import RunFolder
from ablations.tables import table


def of(name, row, *typed):
    """What is missing of a study of which one row was run, with these settings typed."""
    study = studies.load(name)
    with compose.hydra() as context:
        [job] = jobs.plan(context, [f"study={name}", f"row={row}", "seed=0", *typed])
    command = " ".join(["ablations train", f"study={name}", f"row={row}", "seed=0", *typed])
    record = {
        "study": name, "row": RunFolder.of(job.config).row, "seed": 0, "status": "done", "test_error_percent": 5.0,
        "train_images": 1437, "config": job.config.resolved(), "command": command, "device": "cpu: test",
        "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip
    return missing.of(table.make(study, [record]), [record], Path("runs"))


@pytest.mark.parametrize("data,others", [("cifar10", True), ("digits", False)])
def test_rows_of_another_data_set_are_missing_unless_theirs_was_replaced(data, others):
    found = of("table3", "resnet110_original", f"data={data}", "precision=bf16")
    assert len(found["rows"]) == (11 if others else 7)
    assert any("cifar100" in row for row in found["rows"]) == others
    assert f"data={data}" in found["commands"][0] and len(found["commands"]) == 1 + others
    assert all("precision=bf16" in command for command in found["commands"])
    if others:
        assert "data=" not in found["commands"][1] and "row=cifar100_" in found["commands"][1]


def test_the_best_of_other_rows_is_run_after_them_with_their_settings():
    first, best = of("gate_bias", "exclusive_gating_0", "data=digits", "recipe.total_steps=10")["commands"]
    assert "row=exclusive_gating,shortcut_only_gating" in best and "row=exclusive_gating_-1," in first
    assert all("data=digits recipe.total_steps=10" in command for command in (first, best))


def test_what_is_missing_beside_runs_from_python_is_a_command_that_can_be_typed():
    study = studies.load("table1")
    call = "ablations.train(shortcut=dropout model=resnet20 shortcut.rate=0.3 recipe.total_steps=4 row=dropout)"
    words = missing._settings_typed(call, study)
    assert words == ["model=resnet20", "recipe.total_steps=4", "row=dropout"]
    with compose.hydra() as context:
        assert jobs.plan(context, ["study=table1", "row=plain", "seed=0", *words[:2]])
    assert missing._settings_typed("ablations train study=table1 data=digits", study) == ["study=table1", "data=digits"]
