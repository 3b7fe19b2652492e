"""Tables with columns, from records with known answers: each cell is a row of the study."""

import csv
import io
import re

import pytest

from ablations.config import study as studies
from ablations.errors import UserError
from ablations.tables import cells, columns, markup, screen, table
from ablations_tests.conftest import configure

STUDY = studies.load("table2")


def record(row, error, seed):
    row_of_study = next((known for known in STUDY.rows if known.name == row), None)
    config = configure(*STUDY.common, *(row_of_study.overrides if row_of_study else ())).resolved()
    return {
        "study": "table2", "row": row, "seed": seed, "status": "done", "test_error_percent": error,
        "train_loss": 0.1, "steps": 440, "train_images": 1437, "test_images": 360, "config": config,
        "wall_seconds": 1.0, "device": "cpu: test", "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip


def three(row, *errors):
    return [record(row, error, seed) for seed, error in enumerate(errors)]


RECORDS = [
    *three("resnet110_original", 6.0, 7.0, 8.0),
    *three("resnet110_bn_after_addition", 30.0, 40.0, 50.0),
    *three("resnet110_full_preactivation", 4.0, 5.1, 6.0),
    *three("resnet164_original", 5.0, 6.0, 9.0),
    *three("resnet164_full_preactivation", 5.0, 5.5, 6.0)[:2],
]


@pytest.fixture
def made():
    return table.make(STUDY, RECORDS)


def test_a_cell_has_the_paper_s_figure_ours_the_difference_and_the_verdict(made):
    by_column = columns.of(made)
    assert by_column and by_column.names == ["resnet110", "resnet164"]
    assert list(by_column.rows) == [row.name.removeprefix("resnet110_") for row in STUDY.rows[:5]]
    described = [": ".join(words) for words in by_column.shown()]
    original, bn, _, _, full = (dict(zip(described, texts[1:], strict=True)) for texts in by_column.texts())
    assert (original["resnet110: paper"], original["resnet110: ours"]) == ("6.61", "7.00")
    assert original["resnet110: ours - paper"] == "+0.39" and original["resnet164: ours - paper"] == "+0.07"
    assert bn["resnet110: ours"] == "fail (40.00)" and bn["resnet110: verdict"] == "differs: ours fails"
    assert bn["resnet164: ours"] == "not run" and bn["resnet164: mean ± std (n)"] == ""
    assert full["resnet110: mean ± std (n)"] == "5.03 ± 1.00 (3)" and full["resnet110: verdict"] == "agrees: better"
    assert full["resnet164: mean ± std (n)"] == "5.25 ± 0.35 (2)" and full["resnet164: verdict"] == "not resolved"


def test_one_sentence_says_what_learns_in_each_column(made):
    by_column = columns.of(made)
    assert by_column
    sentence = columns.reading(by_column)
    assert sentence == "resnet110: 2 of 3 learn, all but bn_after_addition; resnet164: all 2 learn."
    fails = [record | {"test_error_percent": 90.0} for record in RECORDS[:6]]
    by_column = columns.of(table.make(STUDY, fails + RECORDS[6:9]))
    assert by_column and columns.reading(by_column) == "resnet110: 1 of 3 learns: full_preactivation."
    by_column = columns.of(table.make(STUDY, []))
    assert by_column and columns.reading(by_column) == ""


def test_every_format_has_the_columns_and_each_run(made):
    by_column = columns.of(made)
    assert by_column
    texts = {text for row in by_column.texts() for text in row if text}
    assert all(text in markup.markdown(made) and text in markup.html(made) for text in texts)
    tex = markup.latex(made)
    assert r"& \multicolumn{5}{c}{resnet110} & \multicolumn{5}{c}{resnet164} \\" in tex
    assert r"\cmidrule(lr){2-6}\cmidrule(lr){7-11}" in tex
    assert {line.count("&") for line in tex.splitlines() if line.startswith(("original", "full", " & paper"))} == {10}
    first, second, *_ = csv.DictReader(io.StringIO(markup.as_csv(made)))
    assert (first["table_row"], first["table_column"], first["median"]) == ("original", "resnet110", "7.0000")
    assert second["row"] == "resnet110_bn_after_addition" and second["errors"] == "30.0000 40.0000 50.0000"
    page = markup.html(made)
    assert "<th colspan=5>resnet110</th>" in page and page.count("<table>") == 2 and page.count("<caption>") == 1


@pytest.mark.parametrize(
    "width,there,missing", [(230, "ours - paper", ""), (132, "differs: ours fails", "mean ± std (n)")]
)
def test_a_terminal_has_what_fits(made, capsys, monkeypatch, width, there, missing):
    monkeypatch.setenv("COLUMNS", str(width))
    screen.show(made)
    shown = capsys.readouterr().out
    grid = shown.split("\n\n")[1]
    assert re.match(r" +resnet110 +resnet164 *\n", grid) and there in grid and len(grid.splitlines()) == 7
    assert not missing or missing not in grid
    assert all(len(line) <= width for line in shown.splitlines())


def test_a_row_without_a_cell_is_shown_below(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "230")
    screen.show(table.make(STUDY, [*RECORDS, record("mine", 4.25, 0)]))
    wide, own = capsys.readouterr().out.split("\n\n")[1:3]
    assert "mine" not in wide and own.splitlines()[1].startswith("mine") and "4.25" in own


def test_a_grid_has_a_cell_for_each_combination_and_its_last_axis_becomes_the_columns():
    grid = studies.load("degradation")
    assert [row.cell for row in grid.rows[:2]] == [("plain", "20 layers"), ("plain", "32 layers")]
    assert studies.load("gates").rows[1].cell == ()


def test_two_rows_in_one_cell_are_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    rows = "".join(f"  - {{row: {name}, overrides: [], cell: [a, b]}}\n" for name in ("one", "two"))
    path.write_text(f"question: Why?\nseeds: 1\nrows:\n{rows}")
    with pytest.raises(UserError, match=r"the rows one and two have the same cell \[a, b\]"):
        studies.load(str(path))


def test_the_parts_are_those_of_the_long_table():
    assert set(columns.PARTS) - {"mean ± std (n)"} < set(cells.HEADER)
