"""Studies: one file of `sweeps/` each: the question it answers, its rows in the paper's order, its figures."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from ablations.errors import UserError


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, the overrides that make it, and what the table says stands on each branch."""

    name: str
    overrides: tuple[str, ...]
    figure: str = ""
    on_shortcut: str = ""
    on_residual: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes, and the rows in it; the first of them is what the others are compared with."""

    title: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure of a study.

    kind: "curves", training loss and test error over the steps; or "against", the test error against
        `x`, a number of the configuration, as model.depth.
    series: of a figure "against", the part of the configuration that makes a line, as shortcut. Runs
        without `x` in it are a level across the figure.
    label: what the axis of `x` says, where that is more than its key.
    """

    name: str
    kind: str
    caption: str
    panels: tuple[Panel, ...]
    x: str = ""
    series: str = ""
    label: str = ""


@dataclass(frozen=True)
class Study:
    name: str
    question: str
    paper_table: str
    seeds: int
    common: tuple[str, ...]
    rows: tuple[Row, ...]
    figures: tuple[Figure, ...] = ()


def names() -> list[str]:
    folder = resources.files("ablations.sweeps")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def load(name: str) -> Study:
    """A study by name, or by the path of a file of the user's own.

    Raises UserError where there is none, or where the file is no study.
    """
    source = Path(name) if name.endswith(".yaml") else resources.files("ablations.sweeps") / f"{name}.yaml"
    if not source.is_file():
        raise UserError(f"study={name}: unknown; legal are {', '.join(names())}, or the path of a .yaml file")
    try:
        content = yaml.safe_load(source.read_text())
        common = tuple(content.get("common", ()))
        rows = tuple(
            Row(row["row"], tuple(row["overrides"]), **{k: str(row[k]) for k in LABELS if k in row})
            for row in content["rows"]
        )
        figures = tuple(_figure(figure, rows) for figure in content.get("figures", ()))
        study = Study(
            Path(name).stem, content["question"], content["paper_table"], content["seeds"], common, rows, figures
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"study={name}: {source} is no study: {error!r}") from error
    if len({row.name for row in rows}) < len(rows):
        raise UserError(f"study={name}: two rows of {source} have the same name")
    if len({figure.name for figure in study.figures}) < len(study.figures):
        raise UserError(f"study={name}: two figures of {source} have the same name")
    for figure in study.figures:
        _check(figure, study, f"study={name}: figure {figure.name} of {source}")
    return study


def _figure(content: dict, rows: tuple[Row, ...]) -> Figure:
    """A figure without panels has one, with all rows."""
    everything = [{"title": "", "rows": [row.name for row in rows]}]
    panels = tuple(Panel(panel["title"], tuple(panel["rows"])) for panel in content.get("panels", everything))
    return Figure(**(content | {"panels": panels}))


def _check(figure: Figure, study: Study, what: str) -> None:
    if figure.kind not in KINDS:
        raise UserError(f"{what} is of kind {figure.kind}; legal are {', '.join(KINDS)}")
    if (figure.kind == "against") != bool(figure.x and figure.series):
        raise UserError(
            f"{what}: kind against needs x and series, as x: model.depth, series: shortcut; curves has none"
        )
    known = {row.name for row in study.rows}
    if unknown := [row for panel in figure.panels for row in panel.rows if row not in known]:
        raise UserError(f"{what} has a row {unknown[0]}, which the study has not")


KINDS = ("curves", "against")
LABELS = ("figure", "on_shortcut", "on_residual")
