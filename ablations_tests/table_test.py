"""Tables from records with known answers."""

from pathlib import Path

import pytest
from scipy.stats import kendalltau

from ablations import render, table
from ablations import study as studies
from ablations.errors import UserError
from ablations.records import write_record
from ablations_tests.conftest import configure

CONFIG = configure().resolved()


def record(row, error, seed=0, status="done", **config):
    return {
        "study": "table1", "row": row, "seed": seed, "status": status, "test_error_percent": error,
        "train_loss": 0.1, "steps": 440, "train_images": 1437, "config": CONFIG | config,
        "device": "cpu: test", "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip


RECORDS = [
    record("identity", 3.0, 0),
    record("identity", 5.0, 1),
    record("identity", 10.0, 2),
    record("plain", 90.0),
    record("constant_scaling_0.5_1", 10.0),  # the paper's fails
    record("constant_scaling_0.5_0.5", 21.0),  # ours fails
    record("exclusive_gating_-6", 6.0),
    record("shortcut_only_gating_-6", 7.0, 0),
    record("shortcut_only_gating_-6", 90.0, 1, "diverged"),
    record("conv1x1", 90.0, 0, "diverged"),
    record("mine", 4.0, shortcut={"name": "dropout", "rate": 0.1}),
]


def made(records=RECORDS):
    return table.make(studies.load("table1"), records)


def test_golden_files():
    """Everything that a table prints, for known answers; look at the files in golden/."""
    golden = Path(__file__).parent / "golden"
    assert render.markdown(made()) == (golden / "table1.md").read_text()
    assert render.as_csv(made()) == (golden / "table1.csv").read_text()


def cells(row, records=RECORDS):
    made_table = made(records)
    (line,) = (line for line in made_table.lines if line.row.name == row)
    return dict(zip(render.HEADER, render.cells(line, made_table), strict=True))


def test_a_diverged_run_counts_as_a_fail():
    assert cells("conv1x1")["median"] == "diverged"
    assert cells("conv1x1")["verdict"] == "differs: ours fails"
    half = cells("shortcut_only_gating_-6")
    assert half["median"] == "diverged" and half["mean ± std"] == "7.00 (1 diverged)" and half["n"] == "2"


def test_twenty_percent_is_no_fail():
    assert cells("identity", [record("identity", 20.0)])["median"] == "20.00"
    assert cells("identity", [record("identity", 20.01)])["median"] == "fail (20.01)"


def test_rows_are_the_paper_s_then_ones_own():
    names = [line.row.name for line in made().lines]
    assert names == [*table.paper_values("Table 1"), "mine"]


@pytest.mark.parametrize(
    "paper,ours",
    [
        ("1 2 3 4", "1 2 3 4"),
        ("1 2 3 4", "4 3 2 1"),
        ("1 2 3", "1 3 2"),
        ("1 2 fail fail", "1 2 30 40"),
        ("1 2 fail", "3 3 1"),
    ],
)
def test_kendall_tau(paper, ours):
    """As scipy has it, where all fails are tied."""
    paper, ours = paper.split(), [float(error) for error in ours.split()]
    rows = zip(paper, ours, strict=True)
    lines = tuple(table.Line(studies.Row(str(i), ()), p, (o,), 0) for i, (p, o) in enumerate(rows))
    made_table = table.Table(studies.load("table1"), "", lines, "", "")
    expected = kendalltau([100 if p == "fail" else float(p) for p in paper], [min(o, 20.5) for o in ours]).statistic
    assert table.kendall_tau(made_table) == (pytest.approx(expected), len(lines))


def test_departures_from_the_paper_are_named():
    def departures(*overrides):
        config = configure(*overrides).resolved()
        return made([record("identity", 3.0, **config)]).departures

    assert departures("recipe=paper", "recipe.bn_group=64") == ""
    assert departures("recipe=paper") == (
        "Recipe paper departs from the paper's protocol in bn_group none (the paper: 64)."
    )
    assert "total_steps 6400 (the paper: 64000)" in departures("recipe=short")
    assert "label_smoothing" not in departures("recipe=paper") and "schedule cosine" in departures("recipe=modern")


def test_no_runs():
    text = render.markdown(made([]))
    assert "no runs" in text and text.count("not run") == 16 and "Kendall" not in text


def test_csv_reads_back():
    import csv
    import io

    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(render.as_csv(made())))}
    assert float(rows["identity"]["median"]) == 5 and rows["identity"]["errors"] == "3.0000 5.0000 10.0000"
    assert rows["exclusive_gating_0"]["median"] == "not run"


def test_settings_select_and_what_differs_is_never_mixed():
    other = CONFIG["recipe"] | {"total_steps": 880}
    both = [record("identity", 3.0), record("identity", 2.0, recipe=other)]
    with pytest.raises(UserError, match=r"differ in recipe.total_steps \(440 and 880\): a table never mixes those"):
        table.select(both, {})
    assert [r["test_error_percent"] for r in table.select(both, {"recipe.total_steps": "880"})] == [2.0]
    assert table.select(both, {"data": "cifar10"}) == []
    with pytest.raises(UserError, match="no run has such a setting"):
        table.select(both, {"recipe.steps": "880"})


def test_the_runs_of_a_row_differ_in_their_seed_only():
    """A row of another model has the row's name in its folder's, and is not a seed more."""
    smaller = record("identity,model=resnet20", 9.0, 1, model=configure("model=resnet20").resolved()["model"])
    with pytest.raises(UserError, match=r"the runs of row identity differ in model \(resnet110 and resnet20\)"):
        made([record("identity", 3.0), smaller])
    assert cells("identity", table.select([record("identity", 3.0), smaller], {"model": "resnet20"}))["n"] == "1"


def test_the_command_writes_a_file(tmp_path, capsys):
    for made_record in RECORDS:
        folder = tmp_path / "table1" / made_record["row"] / f"seed={made_record['seed']}"
        folder.mkdir(parents=True)
        write_record(folder, made_record)
    assert render.command(["study=table1", f"runs_dir={tmp_path}", "format=markdown", f"out={tmp_path}/t.md"]) == 0
    assert (tmp_path / "t.md").read_text() == render.markdown(made(RECORDS))
    capsys.readouterr()
    assert render.command(["study=table1", f"runs_dir={tmp_path}", "data=digits"]) == 0
    shown = capsys.readouterr().out
    assert "resnet110 on digits" in shown and "fail (90.00)" in shown and "not run" in shown
    with pytest.raises(UserError, match="out=.*: cannot be written"):
        render.command(["study=table1", f"runs_dir={tmp_path}", "format=csv", f"out={tmp_path}/no/t.csv"])
