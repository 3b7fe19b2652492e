"""Running jobs: what is done already, the launcher that runs the rest, and what stops it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from ablations.config import logger
from ablations.config.jobs import Job
from ablations.data import catalogue
from ablations.errors import UserError
from ablations.launch import detached, packing, worker
from ablations.launch.launcher import chosen_launcher, is_basic, is_slurm, launcher, start
from ablations.launch.monitor import Monitor
from ablations.launch.slurm import queue
from ablations.runs.record import first_difference, read_record
from ablations.system import interrupt, lock


def run(context: GlobalHydra, jobs: list[Job], overrides: list[str], *, detach: bool = False) -> int:
    """Run what is not done yet. Returns the exit code: 0 where every job has a record in the end.

    detach: return once it is submitted.
    """
    waiting = [job for job in jobs if not _is_done(job)]
    if not waiting:
        return 0
    configs = {repr(job.config.data): job.config.data for job in waiting}
    places = [place for of in configs.values() if (place := catalogue.prepare(of))]  # here, once: not in every process
    for job in waiting:
        logger.check(job.config.logger)
    check_writable(waiting)
    if not any(o.startswith("hydra/launcher=") and o != "hydra/launcher=joblib" for o in overrides):
        waiting = packing.spread(waiting)  # over the devices here
    master, (how, runs) = chosen_launcher(context, waiting, overrides)
    waiting = packing.settle(waiting, how, runs)
    if is_slurm(master):
        return queue.run(partial(launcher, context, master), waiting, places, detach=detach)
    if detach:
        return detached.start(waiting)
    failed = False
    with Monitor(waiting, quiet=is_basic(master)), _stoppable(Path(waiting[0].config.runs_dir)) as stop:
        while waiting:
            groups = packing.groups(waiting)
            errors = start(launcher(context, master, groups), groups)
            busy = [job for job, error in errors if isinstance(error, worker.Busy)]
            failed |= len(errors) > len(busy)
            for job, error in errors:
                if not isinstance(error, UserError):
                    raise error
                if str(error) != interrupt.NOT_STARTED and (job not in busy or len(busy) == len(waiting)):
                    print(f"ablations: {error}", file=sys.stderr)
            waiting = _wait_for_others(busy)
    return stop.exit_code or (2 if failed else 0)


def record_of(job: Job) -> dict | None:
    """The record of a job that is done, None for one that is to be run.

    Raises UserError where its folder holds a run of another configuration.
    """
    record = read_record(job.folder)
    if record is None or job.config.force:
        return None
    if not job.config.matches(record["config"]):
        where, there, here = first_difference(record["config"], job.config.resolved())
        raise UserError(
            f"{job.folder} holds a run of another configuration ({where}: {there} there, {here} here); choose another runs_dir=..., or "
            "force=true to replace it"
        )
    return record


def _is_done(job: Job) -> bool:
    if record := record_of(job):
        error = record["test_error_percent"]
        print(f"{job.folder}: done already, test error {error:.2f} %; force=true runs it anew")
    return record is not None


def _wait_for_others(busy: list[Job]) -> list[Job]:
    """Wait until other processes have ended their work on these jobs; what then is not done is ours."""
    for job in busy:
        while lock.holder(job.folder) and interrupt.exit_code() is None:
            time.sleep(0.5)
    if interrupt.exit_code() is not None:
        return []
    return [job for job in busy if read_record(job.folder) is None]


@contextmanager
def _stoppable(runs_dir: Path) -> Iterator[interrupt.Stop]:
    """Ctrl-C and SIGTERM reach all runs, also those that have not started; each keeps what it has."""
    marker = interrupt.marker(runs_dir, os.getpid())
    marker.unlink(missing_ok=True)  # of a process of this number that was killed
    try:
        with interrupt.listening(after=marker.touch) as stop:
            yield stop
    finally:
        marker.unlink(missing_ok=True)


def check_writable(jobs: list[Job]) -> None:
    """Make the folders of the jobs. Raises UserError where one cannot be made or written to."""
    for job in jobs:
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{job.folder} cannot be made: {error.strerror}; choose another runs_dir=...") from error
        if not os.access(job.folder, os.W_OK):
            raise UserError(f"{job.folder} cannot be written to; choose another runs_dir=...")
