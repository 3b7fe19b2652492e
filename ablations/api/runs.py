"""Finished runs: their records, curves, tables and figures, read from their folders without JAX."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from ablations.api import display
from ablations.api.configuration import text
from ablations.config import study as studies
from ablations.config.run import Config, from_resolved
from ablations.config.study import Figure, Study
from ablations.errors import UserError
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations.runs.record import UnreadableRecord, read_metrics, tested
from ablations.tables import table

HEADER = ("study", "row", "seed", "test error", "steps", "seconds")


@dataclass(frozen=True)
class Run:
    """A finished run. record: the content of record.json, with errors in percent and times in seconds.

    >>> run.folder.as_posix(), run.record["status"]
    ('runs/single/model=resnet20,model.depth=8,shortcut=exclusive_gating,shortcut.bias=-6/seed=0', 'done')
    >>> run.config.model.depth
    8
    """

    folder: Path
    record: dict

    @classmethod
    def at(cls, folder: str | os.PathLike[str]) -> "Run":
        """The run in a folder. Raises UserError if there is no finished run."""
        record, _ = RunFolder(Path(folder)).finished()
        return cls(Path(folder), record)

    @property
    def config(self) -> Config:
        """The settings that decided its result; those of where and how it ran have their defaults."""
        return from_resolved(self.record["config"], self.record)

    @property
    def metrics(self) -> list[dict]:
        """One dictionary for each evaluation: step, epoch, lr, train_loss, test_error_percent and more."""
        return read_metrics(self.folder)

    def curves(self) -> display.Figure:
        """Training loss and test error over the steps."""
        return Runs([self]).curves()

    def masks(self) -> display.Figure:
        """The first test images of a run of segmentation, their masks and what it predicts.

        Raises UserError if it has none.
        """
        from ablations.reports import masks  # matplotlib

        title = f"What {self.folder} predicts"
        return display.Figure(title, lambda form: masks.of_run(self.record | {"folder": RunFolder(self.folder)}, form))

    def __repr__(self) -> str:
        return f"<run {self.folder}: {_outcome(self.record)}>"

    def _repr_html_(self) -> str:
        facts = {name: str(self.record[name]) for name in ("steps", "parameters", "device", "commit", "command")}
        facts["seconds"] = f"{self.record['wall_seconds']:.1f}"
        return display.html_grid(f"{self.folder}: {_outcome(self.record)}", ("", ""), list(facts.items()), ())


class Runs(Sequence):
    """Finished runs, in the order of their folders; `records` finds them.

    study: the study to which they belong; None if the records say it.
    unreadable: the records that were left out, such as those of a later version, each with the reason.

    >>> runs = ab.records("runs")
    >>> len(runs), runs[0].record["seed"]
    (1, 0)
    """

    def __init__(self, runs: Sequence[Run], study: str | None = None, unreadable: Sequence[UnreadableRecord] = ()):
        self._runs, self._own_study, self.unreadable = tuple(runs), study, tuple(unreadable)

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> "Runs": ...

    def __getitem__(self, index):
        return (
            Runs(self._runs[index], self._own_study, self.unreadable) if isinstance(index, slice) else self._runs[index]
        )

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def flat(self) -> "list[dict[str, Plain]]":
        """One dictionary for each run, of plain values: those of its record, and its settings under their names.

        All have the same keys, and the values of a key have one type, so that `pandas.DataFrame(runs.flat())` and
        `polars.DataFrame(runs.flat())` work. A list becomes text, separated by spaces.

        >>> [line] = runs.flat()
        >>> line["shortcut"], line["shortcut.bias"], line["model.depth"], line["status"]
        ('exclusive_gating', -6.0, 8, 'done')
        """
        return _one_type_a_key([_flat({**run.record, "folder": str(run.folder)}) for run in self._runs])

    def table(self, study: str | None = None) -> display.Table:
        """The table of a study, given by its name or the path of its file; by default, of the runs' own study.

        Raises UserError if there is no such study, or the runs belong to several or differ in more than rows and seeds.

        >>> print(runs.table().text().splitlines()[0])
        **single: Runs that belong to no study**
        """
        chosen = self._study(study)
        return display.Table(table.make(chosen, self._records(), self._unreadable_of(chosen)))

    def figure(self, name: str | None = None, study: str | None = None) -> display.Figure:
        """A figure of the runs' study, by its name in the study's file; by default the first.

        Raises UserError if the study has no figure of this name, or none of its rows has a run.
        """
        chosen = self._study(study)
        figures = {figure.name: figure for figure in chosen.figures}
        if name is None and not figures:
            raise UserError(f"study {chosen.name} lists no figures; runs.curves() draws the runs' curves")
        if name is not None and name not in figures:
            raise UserError(f"figure={name}: study {chosen.name} has no such figure; legal are {', '.join(figures)}")
        figure = figures[name] if name else chosen.figures[0]
        return _drawn(figure, chosen, self._records(), self._unreadable_of(chosen))

    def curves(self) -> display.Figure:
        """Training loss and test error over the steps: one line for each row, the median of its seeds.

        >>> runs.curves()
        <figure: Training; save('NAME.svg') writes it>
        """
        from ablations.reports import figure  # matplotlib

        study = self._study()
        drawn, named = figure.curves(study, self._records())
        return _drawn(drawn, study, named)

    def _records(self) -> list[dict]:
        return [run.record | {"folder": RunFolder(run.folder)} for run in self._runs]

    def _unreadable_of(self, study: Study) -> list[UnreadableRecord]:
        return [error for error in self.unreadable if RunFolder(error.path.parent).study == study.name]

    def _study(self, name: str | None = None) -> Study:
        names = {run.record["study"] for run in self._runs}
        if not names:
            raise UserError("there are no runs; ab.train makes them, and ab.records finds them")
        if not (name or self._own_study) and len(names) != 1:
            raise UserError(
                f"the runs belong to {len(names)} studies ({', '.join(sorted(names))}): name one with study=..."
            )
        name = name or self._own_study or next(iter(names))
        if name in {*names, self._own_study} - {*studies.names()} and not name.endswith(".yaml"):
            return Study(name, "Runs that belong to no study", "", "", 1, (), ())
        return studies.load(name)

    def __repr__(self) -> str:
        return "\n".join(
            [f"<{len(self)} run{'s' * (len(self) != 1)}>", *map(repr, self._runs), *map(str, self.unreadable)]
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                run["study"],
                run["row"],
                str(run["seed"]),
                _outcome(run),
                f"{run['steps']:,}",
                f"{run['wall_seconds']:.1f}",
            )
            for run in self._records()
        ]
        return display.html_grid(f"{len(self)} runs", HEADER, rows, tuple(map(str, self.unreadable)))


def records(runs_dir: str | Path = "runs", study: str | None = None, **settings: object) -> Runs:
    """The finished runs with these settings in a folder of runs, of one study or of all.

    settings: such as data="digits" or **{"recipe.total_steps": 440}.
    It reads what the command and `train` have written. Raises UserError if there is no such folder, study or setting.

    >>> ab.records("runs", data="digits", **{"model.depth": 8})
    <1 run>
    <run runs/single/model=resnet20,model.depth=8,shortcut=exclusive_gating,shortcut.bias=-6/seed=0: test error ... %>
    """
    folder = Path(runs_dir)
    if not folder.is_dir():
        raise UserError(f"runs_dir={folder}: there is no such folder; ab.train makes runs")
    names = list(dict.fromkeys(run.study for run in run_folders(folder) if run.record_file.exists()))
    name = Path(study).stem if study and study.endswith(".yaml") else study
    if name and name not in names:
        raise UserError(f"study={name}: {folder} has no finished runs of it; it has {', '.join(names) or 'none'}")
    readable, unreadable = [], []
    for study_name in [name] if name else names:
        finished, errors = read_records(folder, study_name)
        readable, unreadable = readable + finished, unreadable + errors
    selected = table.select(readable, {key: text(value) for key, value in settings.items()})
    runs = [Run(record["folder"].path, {key: record[key] for key in record if key != "folder"}) for record in selected]
    return Runs(runs, study, unreadable)


def _drawn(
    figure: Figure, study: Study, records: list[dict], unreadable: Sequence[UnreadableRecord] = ()
) -> display.Figure:
    from ablations.reports.figure import draw  # matplotlib

    return display.Figure(figure.caption, lambda form: draw(figure, study, records, form, unreadable=unreadable))


def _outcome(record: dict) -> str:
    return "diverged" if record["status"] == "diverged" else tested(record)


Plain = str | int | float | bool | None


def _flat(record: dict, prefix: str = "") -> dict[str, Plain]:
    """The values of nested dictionaries by dotted keys, which are those of a command: shortcut, shortcut.bias."""
    flat: dict[str, Plain] = {}
    for key, value in record.items():
        key = prefix if key == "name" and prefix else f"{prefix}.{key}".strip(".")
        if isinstance(value, dict):
            flat |= _flat(value, "" if key == "config" else key)
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _one_type_a_key(lines: list[dict[str, Plain]]) -> list[dict[str, Plain]]:
    """The same lines, each with all keys. Mixed integers and floats become floats, other mixed types text."""
    keys = dict.fromkeys(key for line in lines for key in line)
    for key in keys:
        types = {type(line[key]) for line in lines if line.get(key) is not None}
        if len(types) > 1:
            convert: Callable[[Any], Plain] = (lambda value: float(value)) if types == {int, float} else str
            lines = [line | {key: None if line.get(key) is None else convert(line[key])} for line in lines]
    return [{key: line.get(key) for key in keys} for line in lines]
