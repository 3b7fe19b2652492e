"""Tables and figures from measurements alone: a study's rows beside each other, without JAX."""

import json
import subprocess
import sys

import pytest

from ablations.analysis import measurement as why
from ablations.cli import analysis
from ablations.config import study
from ablations.errors import UserError
from ablations.reports import analysis_figures, analysis_tables
from ablations_tests.conftest import configure

UNITS = 9


def measurement(kind: str, row: str, **changes) -> dict:
    """What a measurement of nine units holds."""
    found = {
        "schema_version": 1, "kind": kind, "name": f"runs/table1/{row}/seed=0", "study": "table1", "row": row, "seed": 0,
        "test_error_percent": 4.0, "train_loss": 0.1, "weights": "0" * 64, "asked": dict(why.ASKED[kind]),
        "config": configure("model=resnet20").resolved(), "device": "cpu: one", "commit": "0" * 40,
        "versions": {"jax": "0.10.2"},
    }  # fmt: skip
    column = [0.5 + 0.01 * i for i in range(UNITS)]
    found |= {
        "probe": {
            "step": 6, "at": "end", "loss": 0.1,
            "units": dict.fromkeys(("gradient", "through_shortcuts", "through_weights", "product", "predicted"), column)
            | dict.fromkeys(("x_std", "residual_std", "ratio", "negative", "cut_off", "kept"), column)
            | {"stage": [1] * 3 + [2] * 3 + [3] * 3},
            "along": [{"step": step, "gradient": column, "kept": column} for step in (0, 5)],
        },
        "lesion": {
            "whole": 4.0, "changing": [4, 7], "without_unit": [10.0 * i for i in range(UNITS)], "without_residual": [5.0] * UNITS,
            "deletions": [[1.0, 2.0, 3.0]] * 7, "swaps": [[1.0, 2.0, 30.0]] * 7, "taus": [[1.0, 0.9, 0.8]] * 7,
            "path_gradients": [1.0] * 10, "path_shares": [0.1] * 10,
        },
        "landscape": {
            "loss": 0.1, "error_percent": 1.0, "distances": [-1, 0, 1], "lines": [[9.0, 0.1, 8.0], [7.0, 0.1, None]],
            "plane_distances": [-1, 0, 1], "plane": [[3.0, 2.0, 3.0], [1.0, 0.1, 1.0], [3.0, None, 3.0]],
            "metrics": [
                {"step": 3, "train_loss": 1.0, "test_loss": 1.1, "test_error_percent": 40.0},
                {"step": 6, "train_loss": 0.1, "test_loss": 0.2, "test_error_percent": 4.0},
            ],
        },
    }[kind]  # fmt: skip
    return found | changes


def write(folder, found: dict) -> None:
    place = folder / "table1" / found["row"] / "seed=0"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{found['kind']}.json").write_text(json.dumps(found))


@pytest.mark.parametrize("kind", why.ASKED)
def test_figures_are_drawn_and_the_same_each_time(kind):
    rows = [measurement(kind, row) for row in ("identity", "dropout")]
    one = analysis_figures.of_run(kind, rows[0], "svg")
    both, _ = analysis_figures.of_study(kind, study.load("table1"), rows, "svg")
    assert one.startswith(b"<?xml") and one == analysis_figures.of_run(kind, rows[0], "svg")
    assert b"dropout" in both and b"dropout" not in one and b"0" * 12 in both, "it names its commit"


def test_a_row_that_learns_nothing_is_drawn_too():
    """A network of which everything is 0 or not finite, and none of whose shape-changing units can be deleted.

    Nothing is said of it that was not measured, and nothing in place of what is 0.
    """
    dead = {name: [0.0] * UNITS for name in ("gradient", "through_shortcuts", "through_weights", "x_std", "negative")}
    dead |= {"product": [None] * UNITS, "residual_std": [0.0] * UNITS, "ratio": [None] * UNITS, "stage": [1] * UNITS}
    probe = measurement("probe", "plain", units=dead, along=[], test_error_percent=90.0)
    lesion = measurement("lesion", "plain", whole=90.0, without_unit=[None if i in (3, 6) else 90.0 for i in range(UNITS)], path_shares=[0.0] * 10, swaps=[], taus=[])  # fmt: skip
    for found in (probe, lesion):
        figures = (
            analysis_figures.of_run(found["kind"], found, "svg"),
            analysis_figures.of_study(found["kind"], study.load("table1"), [found], "svg")[0],
        )
        assert all(b">plain<" in figure or b"runs/table1/plain" in figure for figure in figures)
    table = analysis_tables.of_study("probe", study.load("table1"), [probe])
    assert table.rows == [("plain", "90.00", "-", "-", "-", "-", "0, 0", "-", "-", "-")]
    of_units = analysis_tables.of_run("probe", probe).rows
    assert of_units == [(str(unit), "1", "0", "0", "0", "-", "0", "0", "-", "0") for unit in range(1, UNITS + 1)]
    [row] = analysis_tables.of_study("lesion", study.load("table1"), [lesion]).cells
    assert (row["one deleted"], row["highest, at unit"], row["20 swapped"]) == ("90.00", "90.00, 1", "-")
    assert row["shape changes"] == "cannot be deleted, cannot be deleted"
    assert row["paths"] == "none of it is above what float32 holds"
    table = analysis_tables.of_run("lesion", lesion)
    assert {row["k pairs swapped"] for row in table.cells} == {row["tau"] for row in table.cells} == {"-"}
    assert any("unit 4 changes the shape: cannot be deleted" in note for note in table.notes)


def test_the_rows_of_a_study_in_its_order(tmp_path):
    """From the files alone: no weights, and JAX is not imported."""
    for row in ("dropout", "identity", "mine"):
        write(tmp_path, measurement("lesion", row))
    code = (
        "import sys; from ablations.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in ('jax', 'flax', 'hydra') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "lesion", "study=table1", "runs_dir=.", "out=.", "format=svg"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    rows = [
        line.split("|")[1].strip() for line in (tmp_path / "lesion-table1.md").read_text().splitlines() if "|" in line
    ]
    assert rows[2:] == ["identity", "dropout", "mine"]
    assert "Not measured: plain, constant" in (tmp_path / "lesion-table1.md").read_text()
    assert "80.00, 9" in (tmp_path / "lesion-table1.md").read_text(), "the worst single unit"
    assert (tmp_path / "lesion-table1.svg").is_file()


@pytest.mark.parametrize(
    "change,message",
    [
        ({"asked": why.ASKED["lesion"] | {"draws": 3}}, "the measurements differ in draws (3 and 20): a table never mixes"),
        ({"config": configure("model=resnet20", "recipe=short").resolved()}, "the measurements differ in recipe (short and digits)"),
        ({"config": configure("model=resnet20", "matmul_precision=high").resolved()}, "differ in matmul_precision (high and default)"),
    ],
)  # fmt: skip
def test_a_table_never_mixes(change, message, tmp_path):
    write(tmp_path, measurement("lesion", "identity"))
    write(tmp_path, measurement("lesion", "dropout", **change))
    with pytest.raises(UserError) as error:
        analysis.command("lesion", ["study=table1", f"runs_dir={tmp_path}"])
    assert message in str(error.value)


def test_where_the_gradient_is():
    """The middle nine tenths: of ten equal lengths, all."""
    rows = analysis_tables.of_study("lesion", study.load("table1"), [measurement("lesion", "identity")]).rows
    assert rows[0][-1] == "0 to 9 units"
    narrow = measurement("lesion", "identity", path_shares=[0, 0, 0.02, 0.5, 0.46, 0.02, 0, 0, 0, 0])
    assert analysis_tables.of_study("lesion", study.load("table1"), [narrow]).rows[0][-1] == "3 to 4 units"


def test_the_report_shows_them(tmp_path):
    """Beside a run, in the order of the commands; the page still loads nothing."""
    from ablations.config.study import load
    from ablations.reports.page import make_page

    record = {
        "schema_version": 1, "study": "table1", "row": "identity", "seed": 0, "status": "done", "test_error_percent": 4.0,
        "train_loss": 0.1, "steps": 440, "parameters": 1, "macs": 1, "train_images": 1437, "wall_seconds": 1.0,
        "compile_seconds": 1.0, "train_images_per_second": 1.0, "command": "ablations train study=table1",
        "config": configure("model=resnet20").resolved(), "device": "cpu: one", "commit": "0" * 40,
        "versions": {"jax": "0.10.2", "python": "3.11"},
    }  # fmt: skip
    for kind in ("probe", "lesion"):
        write(tmp_path, measurement(kind, "identity"))
    (tmp_path / "table1" / "identity" / "seed=0" / "record.json").write_text(json.dumps(record))
    page = make_page(tmp_path, [load("table1")], {})
    assert page.index("Probe of table1.") < page.index("Lesion of table1.") and "Landscape of table1" not in page
    assert page.count("data:image/png;base64,") == 12 and "img-src data:" in page and 'src="http' not in page
    assert "Not drawn: the measurements differ" not in page
    other = tmp_path / "table1" / "plain" / "seed=0"
    write(tmp_path, measurement("lesion", "plain", asked={"k": 1, "draws": 2, "paths": 16}))
    (other / "record.json").write_text(json.dumps(record | {"row": "plain"}))
    page = make_page(tmp_path, [load("table1")], {})
    assert "Lesion of table1." not in page and "Probe of table1." in page
    assert "Not drawn: the measurements differ in " in page, "what was measured otherwise is named, not dropped"
