"""Rows that repeat the best of others: which that is, read from the records, and the runs that follow from it."""

import math
import statistics
from dataclasses import replace

from hydra.core.global_hydra import GlobalHydra

from ablations.config import jobs as sweep
from ablations.config.jobs import Job
from ablations.config.study import Row, Study
from ablations.launch import done, run
from ablations.runs.folder import RunFolder


def train(context: GlobalHydra, overrides: list[str], *, detach: bool = False) -> int:
    """`run.run` of a command's jobs, and then of those that its study chooses by their results. Returns the exit code."""
    first = plan(context, overrides)
    code = run.run(context, first, overrides, detach=detach)
    if code or detach or not _choosing(context, overrides):
        return code
    folders = {RunFolder.of(job.config) for job in first}
    then = [job for job in plan(context, overrides) if RunFolder.of(job.config) not in folders]
    return run.run(context, then, overrides) if then else code


def plan(context: GlobalHydra, overrides: list[str]) -> list[Job]:
    """`jobs.plan`, with those rows that repeat the best of others whose candidates are all trained."""
    study = _choosing(context, overrides)
    if study is None:
        return sweep.plan(context, overrides)
    rows = [_settled(context, overrides, study, row) if row.best_of else row for row in study.rows]
    return sweep.plan(context, overrides, replace(study, rows=tuple(rows)))


def _choosing(context: GlobalHydra, overrides: list[str]) -> Study | None:
    """The study that a command names, if some of its rows are chosen among others."""
    study = sweep.study_of(context, overrides)
    return study if study and any(row.best_of for row in study.rows) else None


def _settled(context: GlobalHydra, overrides: list[str], study: Study, row: Row) -> Row:
    """The row with the settings of its best candidate; as it is if a candidate is not trained yet."""
    candidates = replace(study, rows=tuple(other for other in study.rows if other.name in row.best_of))
    words = [word for word in overrides if not word.startswith("row=")]
    errors: dict[str, list[float]] = {}
    for job in sweep.plan(context, words, candidates):
        if (record := done.record_of(replace(job.config, force=False))) is None:
            return row
        error = math.inf if record["status"] == "diverged" else record["test_error_percent"]
        errors.setdefault(study.row_of(job.config.row), []).append(error)
    best = min(errors, key=lambda name: statistics.median(errors[name]))  # the first, if several have the same
    own = row.settings
    [settings] = [other.settings for other in study.rows if other.name == best]
    return replace(row, overrides=tuple(f"{key}={value}" for key, value in (settings | own).items()), best_of=())
