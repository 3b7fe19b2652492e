"""Files with a line of JSON for each evaluation or probe of a run, which grow while it trains.

Those of a run that replaces a finished one, by force=true, grow beside its files and take their place at the end: a run
that is stopped on its way has cut no curve of a run that counts as done.
"""

import json
import os
from pathlib import Path

from ablations.runs.record import METRICS, RECORD, read_metrics
from ablations.system.files import write_whole


class Lines:
    """Such a file, begun with what is known already. Raises OSError if it cannot be written, as `add` does."""

    def __init__(self, path: Path, known: list[dict]):
        _replacement(path).unlink(missing_ok=True)  # of a run that was to replace this one and was stopped
        self.path = _growing(path)
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in known))

    def add(self, line: dict) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")


def leave_out(path: Path) -> None:
    """The run has no such lines; those of a finished run that it replaces go at the end."""
    _replacement(path).unlink(missing_ok=True)
    if _growing(path) == path:
        path.unlink(missing_ok=True)
    else:
        write_whole(_replacement(path), "")


def settle(path: Path) -> None:
    """Put the file that has grown beside a finished run's, if there is one, in its place."""
    replacement = _replacement(path)
    if replacement.exists() and replacement.stat().st_size:
        os.replace(replacement, path)
    elif replacement.exists():
        path.unlink(missing_ok=True)
        replacement.unlink()


def metrics_so_far(folder: Path) -> list[dict]:
    """The evaluations of the run that trains now, or that was stopped last; else those of the finished one."""
    replacement = _replacement(folder / METRICS)
    return read_metrics(folder, replacement.name if replacement.exists() else METRICS)


def _replacement(path: Path) -> Path:
    return path.with_suffix(f".new{path.suffix}")


def _growing(path: Path) -> Path:
    return _replacement(path) if (path.parent / RECORD).exists() else path
