"""A study's table from the records of its runs: the paper's figures beside ours. Imports neither JAX nor Hydra."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import yaml

from ablations.config import searchpath
from ablations.config.study import Row, Study
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.runs.record import FAIL_PERCENT, UnreadableRecord, setting_at
from ablations.tables import arithmetic, protocol
from ablations.tables import interval as tables_interval


@dataclass(frozen=True)
class Line:
    """A row and its runs.

    errors: of the last evaluation, in percent, by seed; None for a run that diverged. paper: the row's line of
    `results/paper.csv`. test_images: the size of the test set, 0 if an old record does not say. top5, iou: as `errors`,
    where they are measured. unreadable: whether a run of it has a record that cannot be read.
    """

    row: Row
    paper: dict[str, str] | None
    errors: dict[int, float | None]
    test_images: int = 0
    top5: dict[int, float | None] = field(default_factory=dict)
    unreadable: bool = False
    iou: dict[int, float | None] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.errors)

    @cached_property
    def finite(self) -> list[float]:
        return [error for error in self.errors.values() if error is not None]

    @property
    def diverged(self) -> int:
        return self.n - len(self.finite)

    @cached_property
    def median(self) -> float:
        """inf if most runs diverged, since those have no error to average; nan if there is no run."""
        ordered = sorted(self.finite) + [math.inf] * self.diverged
        return statistics.median(ordered) if ordered else math.nan

    @cached_property
    def median_top5(self) -> float | None:
        """None if a run diverged or has no top-5 error."""
        return self._median(self.top5)

    @cached_property
    def median_iou(self) -> float | None:
        """In percent; None if a run diverged or has no IoU."""
        return self._median(self.iou)

    def _median(self, figures: dict[int, float | None]) -> float | None:
        known = [figure for figure in figures.values() if figure is not None]
        complete = len(known) == len(figures) and figures.keys() == self.errors.keys()
        return statistics.median(known) if known and complete else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %, in percent: of the mean over seeds or, for one run, over test images. None if a run diverged, and for
        one run of segmentation, since the pixels of an image are not independent.
        """
        if not self.n or self.diverged or (self.n == 1 and (self.iou or not self.test_images)):
            return None
        if self.n == 1:
            return tables_interval.binomial(self.finite[0], self.test_images)
        low, high = tables_interval.student(self.finite)
        return max(low, 0.0), min(high, 100.0)

    @property
    def fails(self) -> bool:
        return self.median > FAIL_PERCENT

    @property
    def failing(self) -> int:
        """How many runs fail, each by itself."""
        return self.diverged + sum(error > FAIL_PERCENT for error in self.finite)

    @property
    def paper_fails(self) -> bool:
        return self.paper is not None and self.paper["value"] == "fail"

    @property
    def paper_error(self) -> float | None:
        """In percent; None if the paper has no number: nothing, "fail", or a curve only."""
        try:
            return float(self.paper["value"]) if self.paper else None
        except ValueError:
            return None

    @property
    def in_paper(self) -> bool:
        """Whether the paper has a result: an error, or a fail."""
        return self.paper_fails or self.paper_error is not None

    @property
    def comparable(self) -> bool:
        """Whether both the paper and we have a result."""
        return bool(self.n) and self.in_paper

    def differences(self, other: "Line") -> tuple[float, ...]:
        """The differences from another row, in points, over the seeds that both have."""
        return tuple(
            error - theirs
            for seed, error in sorted(self.errors.items())
            if error is not None and (theirs := other.errors.get(seed)) is not None
        )


@dataclass(frozen=True)
class Comparison:
    """The differences between two rows, in points, one for each seed.

    p: of the paired t-test, corrected for the number of rows that are compared; None for a single seed, which says
        nothing about others.
    """

    differences: tuple[float, ...]
    p: float | None = None

    @property
    def mean(self) -> float:
        return statistics.mean(self.differences)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %, not corrected for the number of rows; None for a single seed."""
        return tables_interval.student(self.differences) if len(self.differences) > 1 else None

    @property
    def resolved(self) -> bool:
        """Whether the seeds can tell the two rows apart."""
        return self.p is not None and self.p <= 1 - tables_interval.LEVEL


def compare(pairs: Sequence[tuple[Line, Line]]) -> list[Comparison | None]:
    """Each row against another one, over the seeds that both have; None if they share none.

    The p-values are corrected for the number of pairs (Holm 1979).
    """
    differences = [line.differences(other) for line, other in pairs]
    tested = [i for i, found in enumerate(differences) if len(found) > 1]
    corrected = tables_interval.holm([tables_interval.p_value(differences[i]) for i in tested])
    p_values = dict(zip(tested, corrected, strict=True))
    return [Comparison(found, p_values.get(i)) if found else None for i, found in enumerate(differences)]


@dataclass(frozen=True)
class Table:
    """settings: what was trained on what. departures: where the recipe departs from the paper's protocol.

    unreadable: the records that are in no line because they cannot be read. arithmetic: what f32 means in these runs.
    """

    study: Study
    settings: str
    lines: tuple[Line, ...]
    departures: str
    provenance: str
    unreadable: tuple[UnreadableRecord, ...] = ()
    arithmetic: str = ""

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.row.name == name), None)

    @cached_property
    def _comparisons(self) -> dict[str, Comparison | None]:
        pairs = {line.row.name: (line, baseline) for line in self.lines if (baseline := self.line(line.row.baseline))}
        return dict(zip(pairs, compare(list(pairs.values())), strict=True))

    def comparison(self, line: Line) -> Comparison | None:
        """A row compared with its baseline; None if it has none, or shares no seed with it."""
        return self._comparisons.get(line.row.name)


def select(records: list[dict], settings: dict[str, str]) -> list[dict]:
    """The records whose configuration has these settings, such as data=digits, recipe.total_steps=440.

    Raises UserError if no configuration has such a setting, or none could have such a value.
    """
    for key, value in settings.items():
        if records and not having(records, {key: value}):
            _check_setting(key, value, [_lookup(record, key) for record in records])
    return having(records, settings)


def having(records: list[dict], settings: dict[str, str]) -> list[dict]:
    """`select` where the settings are known to be of other records."""
    for key, value in settings.items():
        wanted = yaml.safe_load(value)
        values = [(record, _lookup(record, key)) for record in records]
        records = [record for record, theirs in values if theirs == wanted or str(theirs) == value]
    return records


def _check_setting(key: str, value: str, values: list) -> None:
    """Raise UserError for a setting that no run has: of no configuration, several values, or no choice of its group."""
    if all(theirs is None for theirs in values):
        raise UserError(f"{key}={value}: no run has such a setting; the configuration in record.json has all")
    theirs = ", ".join(sorted({str(value) for value in values if value is not None}))
    if "," in value and isinstance(yaml.safe_load(value), str):
        raise UserError(f"{key}={value}: give one value; the runs have {theirs}")
    if (choices := searchpath.choices(key)) and value not in choices:
        raise UserError(f"{key}={value}: no run has that; they have {theirs}")


def _lookup(record: dict, key: str):
    value = setting_at(record["config"], key)
    return value.get("name") if isinstance(value, dict) else value


def make(study: Study, records: list[dict], unreadable: Sequence[UnreadableRecord] = ()) -> Table:
    """The study's rows in the paper's order, then the user's own.

    Raises UserError if the runs of a row differ in more than their seed, or two rows in more than what defines them.
    """
    runs, without = by_row(study, records), unreadable_rows(study, unreadable)
    paper, known = protocol.paper_lines(study.paper_table), {row.name for row in study.rows}
    own = [
        Row(name, (), on_shortcut=_shortcut(its_runs), baseline=_baseline(study))
        for name, its_runs in runs.items()
        if name not in known
    ]
    lines, of_lines = [], {}
    for row in [*study.rows, *own]:
        of_lines[row.name] = done = sorted(runs.get(row.tests or row.name, []), key=lambda record: record["seed"])
        row = replace(row, on_shortcut=_best(study, row, done[0])) if row.best_of and done else row
        images = done[0].get("test_images", 0) if done else 0
        errors, top5, iou = (_by_seed(done, row, f"test_{name}_percent") for name in ("error", "top5_error", "iou"))
        lines.append(Line(row, paper.get(row.name), errors, images, top5, row.name in without, iou))
    return Table(
        study,
        protocol.heading(records),
        tuple(lines),
        protocol.departures(study, records),
        protocol.provenance(records),
        tuple(unreadable),
        arithmetic.note(of_lines, {line.row.name: line.row.baseline for line in lines}),
    )


def unreadable_rows(study: Study, unreadable: Sequence[UnreadableRecord]) -> set[str]:
    """The rows of which a record cannot be read."""
    return {study.row_of(RunFolder(error.path.parent).row) for error in unreadable}


def _by_seed(records: list[dict], row: Row, name: str) -> dict[int, float | None]:
    """A figure by seed, from the test that the row is about; runs without that figure are left out."""
    figures = {}
    for record in records:
        crops = [str(crop) for crop in record["config"]["data"].get("test_crops") or []]
        name_of_crop = f"{name}_{row.test_crop}" if row.test_crop and row.test_crop != (crops or [""])[0] else name
        if name_of_crop in record or (record["status"] == "diverged" and name in record):
            figures[record["seed"]] = None if record["status"] == "diverged" else record[name_of_crop]
    return figures


def by_row(study: Study, records: list[dict]) -> dict[str, list[dict]]:
    """The records of each row. A table never mixes runs that differ in more than their row and seed.

    Raises UserError, with the first setting that differs.
    """
    runs, seen = {}, {}
    for record in records:
        runs.setdefault(study.row_of(record["row"]), []).append(record)
    rows = {row.name: row for row in study.rows}
    for name, (first, *others) in runs.items():
        for record in others:
            _agree(_settings(first), _settings(record), f"the runs of row {name}")
        row = rows.get(name)
        own = [*row.settings] if row else ["shortcut", "activation", "model"]
        own += [key for name in row.best_of for key in rows[name].settings] if row else []
        shared = {key: value for key, value in _settings(first).items() if not _under(key, own)}
        if row and row.data:  # a study with rows of several data sets: rows of the same data set must agree
            shared = {f"{row.data} {key}" if _under(key, ["data"]) else key: value for key, value in shared.items()}
        _agree(seen, shared, "the runs")
        seen |= shared
    return runs


def _settings(record: dict) -> dict:
    """The settings that all seeds of a row must share, by dotted key."""
    return {
        f"{group}.{key}" if isinstance(values, dict) else group: value
        for group, values in record["config"].items()
        if group not in ("seed", "threads")
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }


def _under(key: str, groups: list[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def _agree(first: dict, second: dict, what: str) -> None:
    for key in first:
        if key in second and first[key] != second[key]:
            raise UserError(
                f"{what} differ in {key.split()[-1].removesuffix('.name')} ({first[key]} and {second[key]}): a table never "
                "mixes those; choose with key=value"
            )


def _shortcut(records: list[dict]) -> str:
    shortcut = records[0]["config"]["shortcut"]
    return ", ".join([shortcut["name"], *(f"{k} {v:g}" for k, v in shortcut.items() if isinstance(v, float))])


def _best(study: Study, row: Row, record: dict) -> str:
    """The settings with which a run repeats the best of other rows, where these differ."""
    candidates = [other.settings for other in study.rows if other.name in row.best_of]
    keys = dict.fromkeys(key for settings in candidates for key in settings)
    differing = [key for key in keys if len({settings.get(key) for settings in candidates}) > 1]
    values = [(key.rpartition(".")[2], _lookup(record, key)) for key in differing]
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values)


def _baseline(study: Study) -> str:
    """The row with which most rows of the study are compared."""
    named = [row.baseline for row in study.rows if row.baseline]
    return max(named, key=named.count) if named else ""
