"""Running jobs: which are done already, the launcher that runs the rest, and how they are stopped."""

import os
from functools import partial
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from ablations.config import logger, searchpath
from ablations.config.compose import compose
from ablations.config.jobs import Job
from ablations.config.overrides import is_hydras
from ablations.data import catalogue
from ablations.errors import UserError
from ablations.launch import detached, done, packing, worker
from ablations.launch.launcher import callbacks, chosen_launcher, is_basic, is_joblib, is_slurm, launcher, start
from ablations.launch.monitor import Monitor
from ablations.launch.slurm import queue
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord, tested
from ablations.system import interrupt
from ablations.system.files import may
from ablations.terminal.output import tell


def run(context: GlobalHydra, jobs: list[Job], overrides: list[str], *, detach: bool = False) -> int:
    """Run the jobs that are not done yet. Returns the exit code: 0 if every job has a record in the end.

    A job whose record cannot be read is named and left as it is; the others are run.
    detach: return once the jobs are submitted.
    """
    if not jobs:  # a search whose trials were all refused
        return 0
    _check_distinct(jobs)
    _check_readable(jobs[0])
    waiting, unreadable = _to_run(jobs)
    code = 2 if unreadable else 0
    return (_run(context, waiting, overrides, detach) or code) if waiting else code


def _run(context: GlobalHydra, waiting: list[Job], overrides: list[str], detach: bool) -> int:
    ours = compose(context, [word for word in overrides if is_hydras(word)])
    calls = callbacks(ours)
    datasets = {repr(job.config.data): job.config.data for job in waiting}
    # Once, here, and not in every process.
    data_folders = [folder for data in datasets.values() if (folder := catalogue.prepare(data))]
    for job in waiting:
        logger.check(job.config.logger)
    check_writable(waiting)
    if is_joblib(ours):
        waiting = packing.spread(waiting)  # over the devices of this machine
    master, (mode, runs) = chosen_launcher(context, waiting, overrides)
    waiting = packing.settle(waiting, mode, runs)
    if is_slurm(master):
        return queue.run(partial(launcher, context, master), waiting, data_folders, detach=detach)
    if detach:
        return detached.start(waiting)
    failed, before = False, {RunFolder.of(job.config): done.version(job.config) for job in waiting}
    calls.on_multirun_start(config=master, config_name=searchpath.primary())
    with Monitor(waiting, quiet=is_basic(master)), interrupt.stoppable(Path(waiting[0].config.runs_dir)) as stop:
        while waiting:
            groups = packing.groups(waiting)
            if is_joblib(master):
                groups = packing.longest_first(groups)
            errors = start(launcher(context, master, groups), groups)
            busy = [job for job, error in errors if isinstance(error, worker.Busy)]
            failed |= len(errors) > len(busy)
            words = []
            for job, error in errors:
                if not isinstance(error, UserError):
                    raise error
                expected = isinstance(error, interrupt.NotStarted) and stop.signal is not None
                if not expected and (job not in busy or len(busy) == len(waiting)):
                    words.append(f"ablations: {error}")
            for line in dict.fromkeys(words):  # what is wrong with the machine stops every run with the same words
                tell(line)
            waiting = [job for job in busy if not done.wait_for_others(job.config, before[RunFolder.of(job.config)])]
            if interrupt.exit_code() is not None:
                break
    calls.on_multirun_end(config=master, config_name=searchpath.primary())
    return stop.exit_code or (2 if failed else 0)


def _to_run(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs that are not done, and those whose records cannot be read, which are reported."""
    waiting, unreadable = [], []
    for job in jobs:
        try:
            if not _is_done(job):
                waiting.append(job)
        except UnreadableRecord as error:
            tell(f"ablations: {done.not_replaced(error)}")
            unreadable.append(job)
    return waiting, unreadable


def _check_distinct(jobs: list[Job]) -> None:
    """Raise UserError if two jobs would be one run, since they differ only in what does not decide its result."""
    first: dict[RunFolder, Job] = {}
    for job in jobs:
        other = first.setdefault(folder := RunFolder.of(job.config), job)
        if job.config != other.config:
            here, there = (
                " ".join(word for word in a.overrides if word not in b.overrides)
                for a, b in ((job, other), (other, job))
            )
            raise UserError(
                f"{here} and {there} would both be {folder}: what does not change a result takes one value; type the command "
                "once, with one of them"
            )


def _check_readable(job: Job) -> None:
    """Raise UserError if what is in its study's folder cannot be seen: once, not for each record."""
    folder = RunFolder.of(job.config).study_folder
    try:
        os.stat(folder / "any")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}; choose another runs_dir=...") from error


def _is_done(job: Job) -> bool:
    if record := done.record_of(job.config):
        print(f"{RunFolder.of(job.config)}: done already, {tested(record)}; force=true runs it again")
    return record is not None


def check_writable(jobs: list[Job]) -> None:
    """Make the folders of the jobs. Raises UserError if one cannot be made, or if it or what a run goes on to write there
    cannot be written to: another user's, or of a disk that is read-only.
    """
    for job in jobs:
        folder = RunFolder.of(job.config)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder} cannot be made: {error.strerror}; choose another runs_dir=...") from error
        opened = folder.path, folder.lock_file, folder.checkpoints, folder.hydra, *folder.hydra.glob("*")
        if closed := [path for path in opened if os.path.exists(path) and not may(path, os.W_OK)]:
            raise UserError(f"{closed[0]} cannot be written to; choose another runs_dir=...")
