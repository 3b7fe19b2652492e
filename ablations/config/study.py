"""A study is one file of `sweeps/`: the question it answers, its rows in the paper's order, its figures."""

from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ablations.errors import UserError

KINDS, SCALES = ("curves", "against", "points", "masks"), ("linear", "log")
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
    if not source.is_file():
        raise UserError(f"study={name}: unknown; legal are {', '.join(names())}, or the path of a .yaml file")
    try:
        content = yaml.safe_load(source.read_text())
        rows = _rows(content)
        study = Study(
            name=Path(name).stem,
            question=content["question"],
            paper_table=str(content.get("paper_table") or ""),
            paper_note=str(content.get("paper_note") or ""),
            seeds=content["seeds"],
            common=tuple(content.get("common", ())),
            rows=rows,
            figures=tuple(_figure(figure, rows) for figure in content.get("figures", ())),
        )
        for row in study.rows:
            _ = row.settings
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"study={name}: {source} is not a study file: {error!r}") from error
    _check(study, f"study={name}", str(source))
    return study


def _rows(content: dict) -> tuple[Row, ...]:
    """The rows of `rows`, then those of `grid`: every combination of one choice from each axis.

    A study's baseline is a row, or a choice of the first axis: then the row with the same choices on the other axes.
    If the study has `columns`, the choices of the last axis are the columns of its table: "{} layers" writes each.
    """
    rows: list[dict[str, Any]] = [
        {"name": row["row"], "overrides": _overrides(row), "cell": tuple(map(str, row.get("cell", ())))}
        | {"best_of": row.get("best_of", ())}
        | {k: str(row[k]) for k in LABELS if k in row}
        for row in content.get("rows", ())
    ]
    axes = [list(axis.items()) for axis in content.get("grid", ())]
    cells = [dict(cell) for cell in product(*axes)] if axes else []
    for cell in cells:
        overrides = tuple(override for choice in cell.values() for override in choice)
        *others, last = choices = tuple(map(str, cell))
        place = ("_".join(others), content["columns"].format(last)) if "columns" in content else ()
        rows.append({"name": "_".join(choices), "overrides": overrides, "choices": choices, "cell": place})
    for row in rows:
        if isinstance(choice := row.get("best_of"), str):  # a choice of the first axis, for all rows that have it
            row["best_of"] = [r["name"] for r in rows if r.get("choices", ())[:1] == (choice,)] or [choice]
        row["best_of"] = tuple(row.get("best_of", ()))
    known = {row["name"] for row in rows}
    study_baseline = str(content.get("baseline", ""))
    baselines = {"_".join(map(str, cell)): "_".join([study_baseline, *map(str, list(cell)[1:])]) for cell in cells}
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


def _check(study: Study, what: str, source: str) -> None:
    known = [row.name for row in study.rows]
    cells = [row.cell for row in study.rows if row.cell]
    if len(set(cells)) < len(cells) or any(len(cell) != 2 for cell in cells):
        raise UserError(f"{what}: a cell of {source} is not that of one row: [its row in the table, its column]")
    if not known or len(set(known)) < len(known):
        raise UserError(f"{what}: {source} has {'two rows of the same name' if known else 'no rows'}")
    for row in study.rows:
        if row.baseline and row.baseline not in known:
            raise UserError(f"{what}: row {row.name} of {source} has the baseline {row.baseline}, which is not a row")
        trained = [other.name for other in study.rows if other.overrides is not None and not other.best_of]
        if wrong := [name for name in row.best_of if name not in trained]:
            raise UserError(
                f"{what}: row {row.name} of {source} is the best of {wrong[0]}, which is not a row to train"
            )
    if len({figure.name for figure in study.figures}) < len(study.figures):
        raise UserError(f"{what}: two figures of {source} have the same name")
    for figure in study.figures:
        this = f"{what}: figure {figure.name} of {source}"
        if figure.kind not in KINDS:
            raise UserError(f"{this} is of kind {figure.kind}; legal are {', '.join(KINDS)}")
        if figure.x_scale not in SCALES:
            raise UserError(f"{this} has x_scale {figure.x_scale}; legal are {', '.join(SCALES)}")
        needed = {"against": (True, True), "points": (True, False)}.get(figure.kind, (False, False))
        if (bool(figure.x), bool(figure.series)) != needed:
            raise UserError(
                f"{this}: kind against needs x and series, such as x: model.depth, series: [shortcut]; kind points needs x "
                "alone, and kinds curves and masks take neither"
            )
        if unknown := [row for panel in figure.panels for row in panel.rows if row not in known]:
            raise UserError(f"{this} has a row {unknown[0]}, which is not a row of the study")
