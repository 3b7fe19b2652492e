"""The runs of a study in tables of those that may be compared."""

import contextlib
import json
from collections.abc import Callable

from ablations.config.study import Study
from ablations.errors import UserError
from ablations.runs.record import UnreadableRecord
from ablations.tables.table import Table, make

NUMBERS = ("data", "recipe", "precision", "matmul_precision")  # runs that differ in these are never compared


def tables(study: Study, records: list[dict], unreadable: list[UnreadableRecord]) -> list[tuple[Table, list[dict]]]:
    """As few tables as possible, each of runs that may be compared, and its runs."""
    keys = (
        lambda record: None,
        lambda record: _parts(record, NUMBERS),
        lambda record: (_parts(record, NUMBERS), record["row"].partition(",")[2]),
        lambda record: _parts(record, sorted(record["config"].keys() - {"seed", "threads"})),
    )
    *coarser, finest = keys
    for key in coarser:
        with contextlib.suppress(UserError):
            return _grouped(study, records, unreadable, key)
    return _grouped(study, records, unreadable, finest)


def _grouped(
    study: Study, records: list[dict], unreadable: list[UnreadableRecord], key: Callable
) -> list[tuple[Table, list[dict]]]:
    """One table for each group of runs with the same `key`."""
    parts = {}
    for record in records:
        parts.setdefault(key(record), []).append(record)
    return [(make(study, part, unreadable), part) for part in parts.values() or [[]]]


def _parts(record: dict, names) -> str:
    return json.dumps([record["config"][name] for name in names])
