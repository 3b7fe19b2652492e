"""From overrides to jobs: names, studies, seeds."""

from pathlib import Path

import pytest

from ablations import compose, study, sweep
from ablations.errors import UserError
from ablations.records import first_difference
from ablations.table import paper_values


def jobs(*overrides):
    with compose.hydra() as context:
        return sweep.plan(context, list(overrides))


def folders(*overrides):
    return [str(job.folder) for job in jobs(*overrides)]


def test_a_run_is_named_by_what_differs_from_the_defaults():
    assert folders() == ["runs/single/default/seed=0"]
    assert folders("shortcut=identity", "model=resnet110", "data=digits", "seed=3") == ["runs/single/default/seed=3"]
    line = "shortcut=exclusive_gating shortcut.bias=-6 activation=original model=resnet110 data=digits recipe=digits"
    assert folders(*line.split()) == ["runs/single/shortcut=exclusive_gating,shortcut.bias=-6/seed=0"]
    assert folders("runs_dir=/tmp/x", "force=true", "unroll=true") == ["/tmp/x/single/default/seed=0"]


def test_a_long_name_is_cut_and_stays_its_own():
    long = [f"recipe.drop_fractions=[{','.join(['0.5'] * 60)}]"]
    name, other = (
        Path(folders(*overrides)[0]).parent.name for overrides in (long, [*long, "seed=1", "recipe.momentum=0"])
    )
    assert len(name) < 255 and name != other


def test_a_sweep_is_all_combinations():
    found = folders("shortcut=identity,dropout", "seed=0,1,2")
    assert len(found) == 6 == len(set(found))
    assert folders("seeds=3") == folders("seed=0,1,2")


@pytest.mark.parametrize("name", study.names())
def test_every_study_composes_and_its_rows_are_the_papers(name):
    made = jobs(f"study={name}", "seeds=2")
    rows = study.load(name).rows
    assert len(made) == 2 * len(rows) > 0
    assert len({job.folder for job in made}) == len(made)
    paper = paper_values(study.load(name).paper_table)
    if name == "demo":
        assert {row.name for row in rows} <= set(paper)
    else:
        assert [row.name for row in rows] == list(paper), "the paper's rows in the paper's order, none else"


def test_table1_is_the_paper_s():
    made = {job.config.row: job.config for job in jobs("study=table1", "seeds=1")}
    assert all(c.model.name == "resnet110" and c.activation.name == "original" for c in made.values())
    scales = [
        (c.shortcut.shortcut_scale, c.shortcut.residual_scale)
        for n, c in made.items()
        if n.startswith(("plain", "const"))
    ]
    assert scales == [(0, 1), (0.5, 1), (0.5, 0.5)]
    assert [c.shortcut.bias for n, c in made.items() if n.startswith("excl")] == [0, -1, -2, -3, -4, -5, -6, -7]
    assert [c.shortcut.bias for n, c in made.items() if n.startswith("shortcut_only")] == [0, -6]
    assert made["conv1x1"].shortcut.bn and made["dropout"].shortcut.rate == 0.5


def test_a_study_keeps_its_folder_and_another_protocol_gets_its_own():
    assert "runs/table1/identity/seed=0" in folders("study=table1", "data=digits", "recipe=digits")
    assert "runs/table1/identity,recipe=paper/seed=0" in folders("study=table1", "recipe=paper")


def test_a_row_of_ones_own():
    assert folders("study=table1", "row=mine", "shortcut=dropout", "shortcut.rate=0.1", "seed=0") == [
        "runs/table1/mine,shortcut=dropout,shortcut.rate=0.1/seed=0"
    ]
    assert len(jobs("study=table1", "row=identity,dropout", "seeds=2")) == 4


def test_a_study_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("question: which?\npaper_table: none\nseeds: 2\nrows:\n  - {row: a, overrides: [model=resnet20]}\n")
    assert [job.folder.parent for job in jobs(f"study={file}")] == [Path("runs/mine/a")] * 2
    file.write_text("question: which?\n")
    with pytest.raises(UserError, match="is no study"):
        jobs(f"study={file}")


def test_rows_that_differ_in_a_number_only_share_their_programs():
    import jax

    from ablations import data
    from ablations.steps import Steps

    def programs(*overrides):
        config = jobs("model=resnet20", "model.depth=8", *overrides)[0].config
        steps = Steps(config, data.load(config.data))
        state, batch = steps.init(), jax.ShapeDtypeStruct((1, 64), "int32")
        return jax.jit(steps._steps).lower(state, steps.data, batch).as_text()

    gates = [programs("shortcut=exclusive_gating", f"shortcut.bias={bias}", f"seed={bias * -1}") for bias in (-6, -1)]
    assert gates[0] == gates[1]
    scales = [programs("shortcut=constant_scaling", f"shortcut.shortcut_scale={scale}") for scale in (0, 0.5)]
    assert scales[0] == scales[1]
    assert gates[0] != scales[0]


def test_what_is_found_twice_is_one_number():
    first = {"a": 1, "b": {"c": 2}}
    assert first_difference(first, {"a": 1, "b": {"c": 3}}) == ("b.c", 2, 3)
