"""Studies: one file of `sweeps/` each, with the question it answers and its rows in the paper's order."""

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
class Study:
    name: str
    question: str
    paper_table: str
    seeds: int
    common: tuple[str, ...]
    rows: tuple[Row, ...]


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
        study = Study(Path(name).stem, content["question"], content["paper_table"], content["seeds"], common, rows)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"study={name}: {source} is no study: {error!r}") from error
    if len({row.name for row in rows}) < len(rows):
        raise UserError(f"study={name}: two rows of {source} have the same name")
    return study


LABELS = ("figure", "on_shortcut", "on_residual")
