"""Running jobs: what is done already, the launcher that runs the rest, and what stops it."""

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from ablations import data, entry, interrupt, lock, logger
from ablations.compose import compose
from ablations.config import parse
from ablations.errors import UserError
from ablations.monitor import Monitor
from ablations.records import first_difference, read_record
from ablations.sweep import Job


def run(context: GlobalHydra, jobs: list[Job], overrides: list[str]) -> int:
    """Run what is not done yet. Returns the exit code: 0 where every job has a record in the end."""
    waiting = [job for job in jobs if not _is_done(job)]
    if not waiting:
        return 0
    for of in {repr(job.config.data): job.config.data for job in waiting}.values():
        data.prepare(of)  # here, once: not in every process
    for job in waiting:
        logger.check(job.config.logger)
    _check_writable(waiting)
    master = chosen_launcher(context, waiting, overrides)
    local = is_joblib(master)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=Callbacks()),
        task_function=task,
        config=master,
    )
    failed = False
    with Monitor(waiting, quiet=not local), _stoppable(Path(waiting[0].config.runs_dir)):
        while waiting:
            errors = _launch(launcher, waiting)
            busy = [job for job, error in errors if isinstance(error, entry.Busy)]
            failed |= len(errors) > len(busy)
            for job, error in errors:
                if not isinstance(error, UserError):
                    raise error
                if str(error) != interrupt.NOT_STARTED and (job not in busy or len(busy) == len(waiting)):
                    print(f"ablations: {error}", file=sys.stderr)
            waiting = _wait_for_others(busy)
    return interrupt.exit_code() or (2 if failed else 0)


def chosen_launcher(context: GlobalHydra, waiting: list[Job], overrides: list[str]) -> DictConfig:
    """Hydra's own configuration: the launcher that the command chose, and how many runs at a time."""
    hydra_overrides = [o for o in overrides if o.startswith("hydra")]
    if len(waiting) == 1 and not hydra_overrides:
        hydra_overrides = ["hydra/launcher=basic"]
    master = compose(context, hydra_overrides)
    if is_joblib(master) and master.hydra.launcher.n_jobs < 1:
        master.hydra.launcher.n_jobs = processes(len(waiting), waiting[0].config.threads)
    return master


def is_joblib(master: DictConfig) -> bool:
    return "joblib" in master.hydra.launcher._target_


def record_of(job: Job) -> dict | None:
    """The record of a job that is done, None for one that is to be run.

    Raises UserError where its folder holds a run of another configuration.
    """
    record = read_record(job.folder)
    if record is None or job.config.force:
        return None
    if record["config"] != job.config.resolved():
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


def _launch(launcher, jobs: list[Job]) -> list[tuple[Job, Exception]]:
    """The jobs that have no result, each with its reason."""
    with warnings.catch_warnings():
        # joblib renews a worker that has grown by more than 300 MB, which any that has trained has.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            returns = launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=0)
        except Exception as error:
            if "Terminated" not in type(error).__name__ and "BrokenProcess" not in type(error).__name__:
                raise
            raise UserError(
                "a process of the sweep was killed, perhaps for want of memory; what was finished is kept. Type the "
                "same command to go on, with hydra.launcher.n_jobs=1 for one run at a time"
            ) from error
    # The property return_value prints before it raises; a job's error is ours to print.
    return [(job, r._return_value) for job, r in zip(jobs, returns, strict=True) if r.status != JobStatus.COMPLETED]


def _wait_for_others(busy: list[Job]) -> list[Job]:
    """Wait until other processes have ended their work on these jobs; what then is not done is ours."""
    for job in busy:
        while lock.holder(job.folder) and interrupt.exit_code() is None:
            time.sleep(0.5)
    if interrupt.exit_code() is not None:
        return []
    return [job for job in busy if read_record(job.folder) is None]


@contextmanager
def _stoppable(runs_dir: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM reach all runs, also those that have not started; each keeps what it has."""
    marker = interrupt.marker(runs_dir, os.getpid())
    interrupt.listen(after=marker.touch)
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def processes(jobs: int, threads: int) -> int:
    """How many runs at a time: one a core on a CPU, one on an accelerator."""
    accelerator = any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin", "libtpu"))
    if accelerator and os.environ.get("JAX_PLATFORMS", "") != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(jobs, cores // threads))


def _check_writable(jobs: list[Job]) -> None:
    for job in jobs:
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{job.folder} cannot be made: {error.strerror}; choose another runs_dir=...") from error
        if not os.access(job.folder, os.W_OK):
            raise UserError(f"{job.folder} cannot be written to; choose another runs_dir=...")


def task(composed: DictConfig) -> None:
    """One job, in the process that the launcher chose."""
    entry.run_one(parse(composed), quiet=multiprocessing.parent_process() is not None)
