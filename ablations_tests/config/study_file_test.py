"""Files of studies: every mistake with its line, what stands there and what is expected; the schema says the same to editors."""

import dataclasses
import json

import jsonschema
import pytest
import yaml

from ablations.config import study, study_file
from ablations.errors import UserError
from ablations_tests.conftest import ROOT

VALIDATOR = jsonschema.Draft202012Validator(study_file.schema())
HEAD = "question: which?\nseeds: 2\n"
ROW = "rows: [{row: a, overrides: []}]\n"
FIGURE = f"{HEAD}{ROW}figures:\n  - "


def as_json(text: str):
    return json.loads(json.dumps(yaml.safe_load(text)))


# What an editor can see, too.
MISTAKES = [
    (f"{HEAD}rows:\n  - row: 110\n", 4, 'row is the number 110; expected a name, as identity, .*; write "110"$'),
    (f"{HEAD}rows:\n  - row: no\n", 4, 'row is no, which YAML reads as false; expected a name, .*; write "no"$'),
    (f"{HEAD}rows:\n  - row:\n", 4, "row is empty; expected a name"),
    (f"{HEAD}rows: [{{row: a/b}}]\n", 3, "row is the text a/b; expected a name, as identity, with no comma, slash or"),
    (f"{HEAD}rows: [{{row: ..}}]\n", 3, r"row is the text \.\.; expected a name"),
    (f"{HEAD}rows:\n  - {{row: a, on_shortcut: no}}\n", 4, "on_shortcut is no, which YAML reads as false; expected what is"),
    (f"seeds: 1\n{ROW}", 1, "the file has no question; expected question: the question that the study answers"),
    (f"question: which?\n{ROW}", 1, "the file has no seeds; expected seeds: how many seeds"),
    (f"{HEAD}rows:\n  - overrides: []\n", 4, "entry 1 of rows has no row; expected row: a name"),
    (f"{HEAD}rows:\n  - row: a\n    overrides: a=b\n", 5, r"overrides is the text a=b; expected a list .* as \[shortcut=dropout\]"),
    (f"{HEAD}common: model=resnet20\n{ROW}", 3, "common is the text model=resnet20; expected a list of settings of all rows"),
    (f"{HEAD}rows:\n  - {{row: a, overrides: [b]}}\n", 4, "entry 1 of overrides is the text b; expected a setting as .* key=value"),
    (f"{HEAD}rows:\n  - {{row: a, overrides: [b: 1]}}\n", 4, "entry 1 of overrides is keys and values: b: 1; expected a setting"),
    (f"{HEAD}rows:\n  row: a\n", 4, "rows is keys and values: row: a; expected a list of rows"),
    (f"{HEAD}rows: [a]\n", 3, "entry 1 of rows is the text a; expected a row, as {row: identity"),
    (f"{HEAD}rows:\n  - row: a\n    overides: []\n", 5, "overides is no key of a row; expected row, .*; did you mean overrides?"),
    (f"{HEAD}{ROW}note: x\n", 4, "note is no key of a study; expected question, paper_table, .*, figures$"),
    ("- a\n", 1, "the file is the list - a; expected a study: question, seeds, and rows or a grid"),
    (f"question: which?\nseeds: 0\n{ROW}", 2, "seeds is the number 0; expected how many seeds .*, a whole number from 1"),
    (f'question: which?\nseeds: "3"\n{ROW}', 2, 'seeds is the text "3"; expected how many seeds'),
    (f"question: which?\nseeds: 2.5\n{ROW}", 2, "seeds is the number 2.5; expected how many seeds"),
    (f"question: which?\nseeds: 1000000000000\n{ROW}", 2, "seeds is the number 1000000000000; expected .* from 1 to 100,000"),
    (f"{HEAD}columns: layers\n{ROW}", 3, "columns is the text layers; expected what stands above each column"),
    (f"{HEAD}rows: [{{row: a, cell: [b]}}]\n", 3, r"cell is the list \[b\]; expected its row and its column"),
    (f"{FIGURE}{{name: f, kind: curve, caption: c}}\n", 5, "kind is the text curve; expected curves, against, points or masks"),
    (f"{FIGURE}{{name: f, kind: curves, caption: c, x_scale: logit}}\n", 5, "x_scale is the text logit; expected linear or log"),
    (f"{FIGURE}{{name: f, kind: curves, caption: c, colour: red}}\n", 5, "colour is no key of a figure; expected name, kind,"),
    (f"{FIGURE}{{name: f, kind: curves}}\n", 5, "entry 1 of figures has no caption; expected caption: the sentence"),
]  # fmt: skip

# What only the file as a whole, or its text, shows.
OTHERS = [
    ("", 1, "the file is empty; expected a study: question, seeds, and rows or a grid"),
    (f"{HEAD}rows:\n\t- row: a\n", 4, "- row: a: there is a tab; expected spaces"),
    (f"{HEAD}rows:\n  - row: a\n   overrides: []\n", 5, "overrides: .*: expected the same indentation as in the lines above"),
    ("question: which: this?\n", 1, r"question: which: this\?: there is a colon where none is expected; put a text with"),
    (f"{HEAD}rows:\n  - {{row: a, overrides: [b=[1]]}}\n", 4, ".*: expected a comma .*; put a text with brackets or commas in quotes"),
    (f"{HEAD}rows:\n  - row: 'a\n", 4, "- row: 'a: a quote begins here and does not end"),
    (f"{HEAD}{ROW}---\na: b\n", 4, "---: expected one study a file"),
    (f"{HEAD}rows: *b\n", 3, "rows: .*: found undefined alias 'b'"),
    ("<<: 3\n", 1, "<<: 3: expected a mapping"),
    ("question: caf\udce9\n", 1, "it is not text in UTF-8"),
    ("question: a\0\n", 1, "the character 0x0 is not allowed"),
    (f"{HEAD}grid:\n  - no: []\n", 4, 'entry 1 of grid is no, which YAML reads as false; expected the name of a choice.*; write "no"'),
    (f"{HEAD}seeds: 3\n{ROW}", 3, "seeds stands there twice, first in line 2; remove one"),
    (f"{HEAD}rows:\n  - {{row: a}}\n  - {{row: b}}\n  - {{row: a}}\n", 6, "the row a stands in line 4, too; expected a name of its"),
    (f"{HEAD}rows:\n  - {{row: a, cell: [b, c]}}\n  - {{row: d, cell: [b, c]}}\n", 5, "the rows a and d have the same cell"),
    (f"{HEAD}baseline: b\n{ROW}", 3, "the baseline b is no row; expected one of: a"),
    (f"{HEAD}rows:\n  - {{row: a, overrides: [], baseline: b}}\n", 4, "the baseline b is no row; expected one of: a"),
    (f"{HEAD}rows:\n  - {{row: a, tests: b}}\n", 4, "row a tests b, which is no row; expected one of: a"),
    (f"{HEAD}rows:\n  - row: a\n    overrides:\n      - b=1\n      - b=2\n", 7, "b is set twice in one list"),
    (f"{HEAD}common: [seed=3]\n{ROW}", 3, "seed=3: a study's file says how many seeds, in seeds:, not which; remove it"),
    (f"{HEAD}common: [seeds=3]\n{ROW}", 3, "seeds=3: the number of seeds stands in seeds:, beside rows:"),
    (f"{HEAD}common: [study=table1]\n{ROW}", 3, "study=table1: the file itself is the study"),
    (f"{HEAD}common: [row=b]\n{ROW}", 3, "row=b: a row has its name in row:"),
    (f"{HEAD}common: [runs_dir=x]\n{ROW}", 3, "runs_dir=x: tables look for all rows in one folder; remove it, and type it in"),
    (f"{HEAD}rows:\n  - row: a\n    overrides: [++hydra.verbose=true]\n", 5, r"\+\+hydra.verbose=true: Hydra's own settings are of"),
    (f"{HEAD}grid:\n  - a:\n      - hydra/launcher=ray\n", 5, "hydra/launcher=ray: Hydra's own settings are of a whole command"),
    (HEAD, 1, "the file has no rows; expected rows: or grid:"),
    (f"{FIGURE}{{name: f, kind: against, caption: c}}\n", 5, "figure f is of kind against; expected x and series"),
    (f"{FIGURE}name: f\n    kind: curves\n    caption: c\n    panels:\n      - {{title: '', rows: [a, b]}}\n", 9, "b is no row of the"),
    (f"{FIGURE}{{name: f, kind: curves, caption: c}}\n  - {{name: f, kind: masks, caption: c}}\n", 6, "f is the name of two figures"),
]  # fmt: skip


@pytest.mark.parametrize("text, line, message", MISTAKES + OTHERS)
def test_a_mistake_is_told_with_its_line(text, line, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=rf"^{file}, line {line}: {message}"):
        study.load(str(file))


@pytest.mark.parametrize("text", [text for text, *_ in MISTAKES])
def test_the_schema_refuses_it_too(text):
    assert not VALIDATOR.is_valid(as_json(text))


@pytest.mark.parametrize("name", study.names())
def test_every_study_passes_the_schema(name):
    VALIDATOR.validate(as_json((ROOT / "sweeps" / f"{name}.yaml").read_text()))


def test_the_schema_has_the_settings_of_the_types():
    jsonschema.Draft202012Validator.check_schema(study_file.schema())
    form, parts = study_file.schema(), study_file.schema()["$defs"]

    def fields(kind, *without):
        return {field.name for field in dataclasses.fields(kind)} - set(without)

    assert fields(study.Study, "name") | {"baseline", "columns", "grid"} == form["properties"].keys()
    assert fields(study.Row, "name", "choices", "line") | {"row"} == parts["row"]["properties"].keys()
    assert fields(study.Figure) == parts["figure"]["properties"].keys()
    assert fields(study.Panel) == parts["panel"]["properties"].keys()


def test_names_and_labels_are_the_text_that_stands_there(tmp_path):
    """YAML reads 010 as 8, 1_0 as 10, 12:30 as 750, 0.50 as 0.5 and 2026-01-02 as a date."""
    file = tmp_path / "mine.yaml"
    names = ["010", "1_0", "12:30", "0.50", "2026-01-02", "1e3", "-6"]
    choices = "".join(f"\n    {name}: []" for name in names).strip()
    file.write_text(f"{HEAD}columns: '{{}} %'\nbaseline: 010\ngrid:\n  - {choices}\nrows: [{{row: x, figure: 0.50}}]\n")
    first, *rows = study.load(str(file)).rows
    assert first.figure == "0.50" and [row.name for row in rows] == names
    assert [row.baseline for row in rows] == ["", *["010"] * 6] and rows[0].cell == ("", "010 %")


def test_anchors_and_merged_keys_are_understood(tmp_path):
    file = tmp_path / "mine.yaml"
    rows = "  - &one {row: a, overrides: &settings [b=1], figure: f}\n  - {<<: *one, row: c}\n  - {row: d, overrides: *settings}\n"
    file.write_text(f"\ufeff{HEAD}rows:\n{rows}")  # with the mark that some editors set before UTF-8
    assert [(row.name, row.overrides, row.figure) for row in study.load(str(file)).rows] == [
        ("a", ("b=1",), "f"),
        ("c", ("b=1",), "f"),
        ("d", ("b=1",), ""),
    ]


def test_nesting_without_end_is_one_message(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("[" * 500)
    with pytest.raises(UserError, match="its brackets are nested too deep; expected a study"):
        study.load(str(file))


def test_a_file_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(
        UserError, match="^study=nosuch.yaml: there is no such file; without .yaml, legal are cardinality"
    ):
        study.load("nosuch.yaml")


def test_a_file_of_another_name_is_told_what_to_be_called(tmp_path):
    (tmp_path / "mine.yml").write_text(f"{HEAD}{ROW}")
    with pytest.raises(UserError, match="mine.yml: unknown; .*a study's file is named .yaml$"):
        study.load(str(tmp_path / "mine.yml"))
