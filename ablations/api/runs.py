"""Finished runs: their records, curves, tables and figures; read from their folders, without JAX."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from ablations.api import display
from ablations.api.configuration import text
from ablations.config import study as studies
from ablations.config.run import Config, from_resolved
from ablations.config.study import Figure, Panel, Study
from ablations.errors import UserError
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations.runs.record import UnreadableRecord, read_metrics
from ablations.tables import table

HEADER = ("study", "row", "seed", "test error", "steps", "seconds")


@dataclass(frozen=True)
class Run:
    """A finished run. record: what record.json says, errors in percent, times in seconds.

    >>> run.folder.as_posix(), run.record["status"]
    ('runs/single/model=resnet20,model.depth=8,shortcut=exclusive_gating,shortcut.bias=-6/seed=0', 'done')
    >>> run.config.model.depth
    8
    """

    folder: Path
    record: dict

    @classmethod
    def at(cls, folder: str | os.PathLike[str]) -> "Run":
        """The run in a folder. Raises UserError where there is no finished one."""
        record, _ = RunFolder(Path(folder)).finished()
        return cls(Path(folder), record)

    @property
    def config(self) -> Config:
        """What decided its result; where and how it ran has the defaults."""
        return from_resolved(self.record["config"], self.record.get("shortcut_class"))

    @property
    def metrics(self) -> list[dict]:
        """The evaluations, a dictionary each: step, epoch, lr, train_loss, test_error_percent and more."""
        return read_metrics(self.folder)

    def curves(self) -> display.Figure:
        """Training loss and test error over the steps."""
        return Runs([self]).curves()

    def __repr__(self) -> str:
        return f"<run {self.folder}: {_outcome(self.record)}>"

    def _repr_html_(self) -> str:
        facts = {name: str(self.record[name]) for name in ("steps", "parameters", "device", "commit", "command")}
        facts["seconds"] = f"{self.record['wall_seconds']:.1f}"
        return display.html_grid(f"{self.folder}: {_outcome(self.record)}", ("", ""), list(facts.items()), ())


class Runs(Sequence):
    """Finished runs, in the order of their folders; `records` finds them.

    study: that they belong to, None where that is the runs' own.
    unreadable: records that were passed over, as of a later version, each with the reason.

    >>> runs = ab.records("runs")
    >>> len(runs), runs[0].record["seed"]
    (1, 0)
    """

    def __init__(self, runs: Sequence[Run], study: str | None = None, unreadable: Sequence[UnreadableRecord] = ()):
        self._runs, self._study, self.unreadable = tuple(runs), study, tuple(unreadable)

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> "Runs": ...

    def __getitem__(self, index):
        return Runs(self._runs[index], self._study, self.unreadable) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def flat(self) -> "list[dict[str, Plain]]":
        """A dictionary a run, of plain values: the record's, and the settings by their words in a command.

        All have the same keys, and a key has one type: `pandas.DataFrame(runs.flat())`, `polars.DataFrame(runs.flat())`.
        A list is a text, its parts separated by spaces.

        >>> [line] = runs.flat()
        >>> line["shortcut"], line["shortcut.bias"], line["model.depth"], line["status"]
        ('exclusive_gating', -6.0, 8, 'done')
        """
        return _one_type_a_key([_flat({**run.record, "folder": str(run.folder)}) for run in self._runs])

    def table(self, study: str | None = None) -> display.Table:
        """The table of a study, by its name or the path of its file; without one, of the study the runs belong to.

        Raises UserError where the runs are of several studies, or differ in more than rows and seeds.

        >>> print(runs.table().text().splitlines()[0])
        **single: Runs that belong to no study**
        """
        of = self._study_of(study)
        return display.Table(table.make(of, self._records(), self._unreadable_of(of)))

    def figure(self, name: str | None = None, study: str | None = None) -> display.Figure:
        """A figure of the runs' study, by its name in the study's file; without one, the first.

        Raises UserError where the study has none of this name, or none of its rows is run.
        """
        of = self._study_of(study)
        found = {figure.name: figure for figure in of.figures}
        if name is None and not found:
            raise UserError(f"study {of.name} lists no figures; runs.curves() draws the runs' curves")
        if name is not None and name not in found:
            raise UserError(f"figure={name}: study {of.name} has no such figure; legal are {', '.join(found)}")
        return _drawn(found[name] if name else of.figures[0], of, self._records(), self._unreadable_of(of))

    def curves(self) -> display.Figure:
        """Training loss and test error over the steps: a line a row, the median of its seeds.

        >>> runs.curves()
        <figure: Training; save('NAME.svg') writes it>
        """
        of = self._study_of(None)
        # In a figure a comma ends the name of a row, and what a command added stands behind it.
        named = [r | {"row": of.row_of(r["row"]).replace(",", " ")} for r in self._records()]
        rows = tuple(dict.fromkeys(record["row"] for record in named))
        return _drawn(Figure("curves", "curves", "Training", (Panel("", rows),)), of, named)

    def _records(self) -> list[dict]:
        return [run.record | {"folder": RunFolder(run.folder)} for run in self._runs]

    def _unreadable_of(self, study: Study) -> list[UnreadableRecord]:
        return [error for error in self.unreadable if RunFolder(error.path.parent).study == study.name]

    def _study_of(self, name: str | None) -> Study:
        names = {run.record["study"] for run in self._runs}
        if not names:
            raise UserError("there are no runs; train makes them, and records finds them")
        if not (name or self._study) and len(names) != 1:
            raise UserError(
                f"the runs are of {len(names)} studies ({', '.join(sorted(names))}): name one with study=..."
            )
        name = name or self._study or names.pop()
        if name in studies.names() or name.endswith(".yaml"):
            return studies.load(name)
        return Study(name, "Runs that belong to no study", "", "", 1, (), ())

    def __repr__(self) -> str:
        return "\n".join([f"<{len(self)} runs>", *map(repr, self._runs), *map(str, self.unreadable)])

    def _repr_html_(self) -> str:
        rows = [
            (r["study"], r["row"], str(r["seed"]), _outcome(r), f"{r['steps']:,}", f"{r['wall_seconds']:.1f}")
            for r in self._records()
        ]
        return display.html_grid(f"{len(self)} runs", HEADER, rows, tuple(map(str, self.unreadable)))


def records(runs_dir: str | Path = "runs", study: str | None = None, **settings: object) -> Runs:
    """The finished runs in a folder of runs, of one study or of all, that have these settings.

    settings: as data="digits" or **{"recipe.total_steps": 440}. Reads what the command and `train` have written.
    Raises UserError where there is no such folder, study or setting.

    >>> ab.records("runs", data="digits", **{"model.depth": 8})
    <1 runs>
    <run runs/single/model=resnet20,model.depth=8,shortcut=exclusive_gating,shortcut.bias=-6/seed=0: test error ... %>
    """
    folder = Path(runs_dir)
    if not folder.is_dir():
        raise UserError(f"runs_dir={folder}: there is no such folder; train makes runs")
    there = list(dict.fromkeys(one.study for one in run_folders(folder) if one.record_file.exists()))
    name = Path(study).stem if study and study.endswith(".yaml") else study
    if name and name not in there:
        raise UserError(f"study={name}: {folder} has no finished runs of it; there are {', '.join(there) or 'none'}")
    found, unreadable = [], []
    for one in [name] if name else there:
        readable, others = read_records(folder, one)
        found, unreadable = found + readable, unreadable + others
    found = table.select(found, {key: text(value) for key, value in settings.items()})
    runs = [Run(record["folder"].path, {key: record[key] for key in record if key != "folder"}) for record in found]
    return Runs(runs, study, unreadable)


def _drawn(figure: Figure, study: Study, of: list[dict], unreadable: Sequence[UnreadableRecord] = ()) -> display.Figure:
    from ablations.reports.figure import draw  # matplotlib

    return display.Figure(figure.caption, lambda form: draw(figure, study, of, form, unreadable=unreadable))


def _outcome(record: dict) -> str:
    error = record["test_error_percent"]
    return "diverged" if record["status"] == "diverged" else f"test error {error:.2f} %"


Plain = str | int | float | bool | None


def _flat(record: dict, at: str = "") -> dict[str, Plain]:
    """Nested dictionaries by their dotted keys; a setting's group is called as in a command: shortcut, shortcut.bias."""
    flat: dict[str, Plain] = {}
    for key, value in record.items():
        key = at if key == "name" and at else f"{at}.{key}".strip(".")
        if isinstance(value, dict):
            flat |= _flat(value, "" if key == "config" else key)
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _one_type_a_key(lines: list[dict[str, Plain]]) -> list[dict[str, Plain]]:
    """The same lines, each with all keys; numbers of which one is a fraction are all floats, what else is mixed is text."""
    keys = dict.fromkeys(key for line in lines for key in line)
    for key in keys:
        types = {type(line[key]) for line in lines if line.get(key) is not None}
        if len(types) > 1:
            one: Callable[[Any], Plain] = (lambda value: float(value)) if types == {int, float} else str
            lines = [line | {key: None if line.get(key) is None else one(line[key])} for line in lines]
    return [{key: line.get(key) for key in keys} for line in lines]
