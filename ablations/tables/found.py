"""Which studies a folder of runs has, also those without a file of their own, such as single; and what to type next."""

import shlex
from pathlib import Path

from ablations.config import study as studies
from ablations.config.study import Study
from ablations.errors import UserError
from ablations.runs.folder import run_folders

FIRST = "ablations train study=demo makes some, in six to nine minutes on two cores"


def studies_in(runs_dir: Path) -> list[Study]:
    """The studies with runs in this folder, the project's first; one without a file has the rows that were run."""
    names = _counts(runs_dir)
    known = [studies.load(name) for name in studies.names() if name in names]
    return known + [_without_file(name) for name in names if name not in studies.names()]


def named(name: str, runs_dir: Path, command: str) -> Study:
    """A study by its name, by its file, or by its runs in this folder.

    command: which is to be typed again. Raises UserError if there is neither, which says what there is.
    """
    if name not in studies.names() and name in _counts(runs_dir):
        return _without_file(name)
    if name == "single":
        raise UserError(f"study=single: {what_there_is(runs_dir, command)}")
    return studies.load(name)


def is_without_file(study: Study) -> bool:
    return not study.rows


def what_there_is(runs_dir: Path, command: str) -> str:
    """Which runs there are and what to type, in one sentence for a message."""
    if not runs_dir.is_dir():
        return f"runs_dir={runs_dir}: there is no such folder; {FIRST}"
    counts = _counts(runs_dir)
    if not counts:
        return f"{runs_dir} has no runs; {FIRST}"
    listed = ", ".join(f"{name} ({count} {'run' if count == 1 else 'runs'})" for name, count in counts.items())
    line = ["ablations", command, f"study={next(iter(counts))}"]
    line += [f"runs_dir={runs_dir}"] if str(runs_dir) != "runs" else []
    return f"{runs_dir} has {listed}; type {shlex.join(line)}"


def _counts(runs_dir: Path) -> dict[str, int]:
    """The number of runs that were begun, by the study's name."""
    begun = [folder.study for folder in run_folders(runs_dir) if folder.is_begun]
    return {name: begun.count(name) for name in sorted(set(begun))}


def _without_file(name: str) -> Study:
    return Study(name, "Runs that belong to no study", "", "", 1, (), ())
