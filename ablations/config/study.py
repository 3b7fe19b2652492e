"""A study is one file of `sweeps/`: the question it answers, its rows in the paper's order, its figures."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from ablations.config import study_file
from ablations.config.study_file import Place, StudyFile
from ablations.errors import UserError

NAMED = 8  # rows that a message names
OF_COMMANDS = {  # settings that do nothing, or harm, in a study's file
    "study": "the file itself is the study; remove it",
    "row": "a row has its name in row:; remove it",
    "seed": "a study's file says how many seeds, in seeds:, not which; remove it, and type it in the command",
    "seeds": "the number of seeds stands in seeds:, beside rows:; remove it here",
    "runs_dir": "tables look for all rows in one folder; remove it, and type it in the command",
    "hydra": "Hydra's own settings are of a whole command; remove it, and type it there",
}
LABELS = ("figure", "on_shortcut", "on_residual", "data", "baseline", "tests", "test_crop")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    overrides: the settings that define it; None if it is not trained here: somebody else's method, or another test of a row.
    figure, on_shortcut, on_residual: what the table prints about it: the paper's figure, and what is on each branch.
    data: the row's data set in a study with several; "": the command chooses.
    baseline: the row with which it is compared, seed by seed; "" for none.
    tests: the row whose runs are tested again, with crops of `test_crop` pixels.
    cell: where it stands in a table with columns: the names of that table's row and column; () for nowhere.
    choices: of a row of a grid its choice from each axis.
    best_of: the rows of which the one with the lowest error lends this row its settings, before its own overrides.
    line: of the study's file, where it stands, for a grid where that begins.
    """

    name: str
    overrides: tuple[str, ...] | None
    figure: str = ""
    on_shortcut: str = ""
    on_residual: str = ""
    data: str = ""
    baseline: str = ""
    tests: str = ""
    test_crop: str = ""
    cell: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    best_of: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)

    @property
    def settings(self) -> dict[str, str]:
        """The overrides, by key."""
        return dict(override.split("=", 1) for override in self.overrides or ())


@dataclass(frozen=True)
class Panel:
    """One pair of axes and its rows; the others are compared with the first."""

    title: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure of a study.

    kind: "curves": training loss and test error over the steps; "against": the test error against `x`; "points": the same,
        a point a row, of rows that differ in more than `x`; "masks": of segmentation, some test images, their masks and
        what each row predicts.
    x: a number of the configuration, such as model.depth.
    series: the parts of the configuration that define a line of a figure "against", such as [shortcut]. Runs without `x`
        are a horizontal line.
    label: the label of the x axis, if not `x` itself. x_scale: of the x axis, "linear" or "log".
    """

    name: str
    kind: str
    caption: str
    panels: tuple[Panel, ...]
    x: str = ""
    series: tuple[str, ...] = ()
    label: str = ""
    x_scale: str = "linear"


@dataclass(frozen=True)
class Study:
    """paper_table: in `results/paper.csv`; "" if none is published. paper_note: how the paper obtained its figures."""

    name: str
    question: str
    paper_table: str
    paper_note: str
    seeds: int
    common: tuple[str, ...]
    rows: tuple[Row, ...]
    figures: tuple[Figure, ...] = ()

    def rows_for(self, data: str | None) -> tuple[Row, ...]:
        """The rows that can be trained on a data set before others are; None: each row on its own data set.

        A data set that no row names replaces the first one that a row names.
        """
        rows = tuple(row for row in self.rows if row.overrides is not None and not row.best_of)
        named = [row.data for row in rows if row.data]
        if data is None or not named:
            return rows
        wanted = data if data in named else named[0]
        return tuple(row for row in rows if row.data in ("", wanted))

    def row_of(self, name: str) -> str:
        """The row of a run with this name: one of the study's, without the settings that the command added, or the user's own."""
        base = name.split(",")[0]
        return base if any(row.name == base for row in self.rows) else name


def names() -> list[str]:
    """The studies that come with the package."""
    folder = resources.files("ablations.sweeps")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def load(name: str) -> Study:
    """A study by its name, or by the path of a user's own file.

    Raises UserError if there is none, or if the file is not a study.
    """
    source = Path(name) if name.endswith(".yaml") else resources.files("ablations.sweeps") / f"{name}.yaml"
    if name == "single":
        raise UserError("study=single: no study, but the runs of none; status, table, figure and report take it")
    if not source.is_file():
        if name.endswith(".yaml"):
            raise UserError(f"study={name}: there is no such file; without .yaml, legal are {', '.join(names())}")
        renamed = "; a study's file is named .yaml" if Path(name).is_file() else ""
        raise UserError(f"study={name}: unknown; legal are {', '.join(names())}, or the path of a .yaml file{renamed}")
    file = study_file.read(source)
    content, rows = file.content, _rows(file)
    figures = tuple(_figure(figure, rows) for figure in content.get("figures", ()))
    _check(file, rows, figures)
    return Study(
        name=Path(name).stem,
        question=content["question"],
        paper_table=content.get("paper_table") or "",
        paper_note=content.get("paper_note") or "",
        seeds=content["seeds"],
        common=tuple(content.get("common", ())),
        rows=rows,
        figures=figures,
    )


def _rows(file: StudyFile) -> tuple[Row, ...]:
    """The rows of `rows`, then those of `grid`: every combination of one choice from each axis.

    A study's baseline is a row, or a choice of the first axis: then the row with the same choices on the other axes.
    If the study has `columns`, the choices of the last axis are the columns of its table: "{} layers" writes each.
    """
    content = file.content
    rows: list[dict[str, Any]] = [
        {"name": row["row"], "overrides": _overrides(row), "cell": tuple(row.get("cell", ()))}
        | {"best_of": row.get("best_of", ()), "line": file.lines["rows", i]}
        | {k: row[k] for k in LABELS if k in row}
        for i, row in enumerate(content.get("rows", ()))
    ]
    axes = [list(axis.items()) for axis in content.get("grid", ())]
    cells = [dict(cell) for cell in product(*axes)] if axes else []
    for cell in cells:
        overrides = tuple(override for choice in cell.values() for override in choice)
        *others, last = choices = tuple(cell)
        place = ("_".join(others), content["columns"].format(last)) if "columns" in content else ()
        row = {"name": "_".join(choices), "overrides": overrides, "choices": choices, "cell": place}
        rows.append(row | {"line": file.lines["grid",]})
    for row in rows:
        if isinstance(choice := row.get("best_of"), str):  # a choice of the first axis, for all rows that have it
            row["best_of"] = [r["name"] for r in rows if r.get("choices", ())[:1] == (choice,)] or [choice]
        row["best_of"] = tuple(row.get("best_of", ()))
    known = {row["name"] for row in rows}
    study_baseline = content.get("baseline", "")
    baselines = {"_".join(cell): "_".join([study_baseline, *list(cell)[1:]]) for cell in cells}
    for row in rows:
        baseline = row.get("baseline", baselines.get(row["name"], study_baseline))
        baseline = baseline if baseline in known or "baseline" in row else study_baseline
        row["baseline"] = "" if baseline == row["name"] or row["overrides"] is None else baseline
    return tuple(Row(**row) for row in rows)


def _overrides(row: dict) -> tuple[str, ...] | None:
    return tuple(row["overrides"]) if "overrides" in row else None


def _figure(content: dict, rows: tuple[Row, ...]) -> Figure:
    """A figure without panels gets one with all rows, except those that repeat the best of the others."""
    everything = [{"title": "", "rows": [row.name for row in rows if not row.best_of]}]
    panels = tuple(Panel(panel["title"], tuple(panel["rows"])) for panel in content.get("panels", everything))
    series = content.get("series", ())
    return Figure(**(content | {"panels": panels, "series": (series,) if isinstance(series, str) else tuple(series)}))


def _check(file: StudyFile, rows: tuple[Row, ...], figures: tuple[Figure, ...]) -> None:
    """Raise UserError, with the line, where entries that are well each do not fit together."""
    if not rows:
        raise file.mistake(
            (), "the file has no rows; expected rows: or grid:, as rows: [{row: identity, overrides: []}]"
        )
    _check_settings(file, file.content.get("common", []), ("common",))
    for i, row in enumerate(file.content.get("rows", ())):
        _check_settings(file, row.get("overrides", []), ("rows", i, "overrides"))
    for axis, choices in enumerate(file.content.get("grid", ())):
        for choice, settings in choices.items():
            _check_settings(file, settings, ("grid", axis, choice))
    for i, row in enumerate(rows):
        _check_row(file, row, rows[:i], rows)
    names = {row.name: row for row in rows}
    for i, figure in enumerate(figures):
        place: Place = ("figures", i)
        if figure.name in (earlier.name for earlier in figures[:i]):
            raise file.mistake((*place, "name"), f"{figure.name} is the name of two figures; expected one of its own")
        needed = {"against": (True, True), "points": (True, False)}.get(figure.kind, (False, False))
        if (bool(figure.x), bool(figure.series)) != needed:
            raise file.mistake(
                place,
                f"figure {figure.name} is of kind {figure.kind}; expected x and series, as x: model.depth, series: "
                "[shortcut], with kind against, x alone with kind points, and neither with another kind",
            )
        for j, panel in enumerate(figure.panels):
            for k, name in enumerate(panel.rows):
                if name not in names:
                    place = (*place, "panels", j, "rows", k)
                    raise file.mistake(place, f"{name} is no row of the study; expected one of: {_some(names)}")


def _check_row(file: StudyFile, row: Row, earlier: tuple[Row, ...], rows: tuple[Row, ...]) -> None:
    names = {other.name for other in rows}

    def mistake(message: str) -> UserError:
        return UserError(f"{file.name}, line {row.line}: {message}")

    for other in earlier:
        if row.name == other.name:
            raise mistake(f"the row {row.name} stands in line {other.line}, too; expected a name of its own")
        if row.cell and row.cell == other.cell:
            raise mistake(
                f"the rows {other.name} and {row.name} have the same cell [{', '.join(row.cell)}]; expected one each"
            )
    trained = [other.name for other in rows if other.overrides is not None and not other.best_of]
    if wrong := [name for name in row.best_of if name not in trained]:
        raise mistake(
            f"row {row.name} is the best of {wrong[0]}, which is no row to train; expected some of: {_some(trained)}"
        )
    if row.tests and row.tests not in names:
        raise mistake(f"row {row.name} tests {row.tests}, which is no row; expected one of: {_some(sorted(names))}")
    if row.baseline and row.baseline not in names:
        message = f"the baseline {row.baseline} is no row; expected one of: {_some(sorted(names))}"
        raise file.mistake(("baseline",), message) if row.baseline == file.content.get("baseline") else mistake(message)


def _check_settings(file: StudyFile, settings: list[str], place: Place) -> None:
    for i, setting in enumerate(settings):
        key = setting.split("=", 1)[0]
        plain = key.lstrip("+~")
        if reason := OF_COMMANDS.get("hydra" if re.match(r"hydra(?![\w-])", plain) else plain):
            raise file.mistake((*place, i), f"{setting}: {reason}")
        if key in (earlier.split("=", 1)[0] for earlier in settings[:i]):
            raise file.mistake((*place, i), f"{key} is set twice in one list; expected it once")


def _some(names: Iterable[str]) -> str:
    """The first of the names that would do."""
    known = list(names)
    return ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
