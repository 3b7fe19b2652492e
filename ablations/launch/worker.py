"""Runs in this process: locked, trained, and their errors kept in their folders."""

import contextlib
import errno
import os
import shutil
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import done, peers
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord
from ablations.system import interrupt, lock
from ablations.system.files import FULL, why

# How long a job of a queue waits for a run's lock: twice the 90 s, the lease time of NFS 4, after which a file server
# takes a lock back from a lost host (linux/Documentation, nfsv4leasetime).
PATIENCE_SECONDS = 180.0
OF_DISKS = (*FULL, errno.EROFS, errno.EACCES, errno.EIO)
RESOURCE_EXHAUSTED = 8  # in absl::StatusCode, whose codes XLA's errors carry


class Busy(UserError):
    """Another process works on this run."""


def run_here(configs: list[Config], *, quiet: bool, patience_seconds: float) -> list[UserError | None]:
    """`entry.run` in this process. In a distributed run only the first process writes to the run's folder."""
    several = configs[0].distributed.name != "none"
    is_first, decide = True, lambda find: find()  # in a distributed run, the first process decides for all
    if several:
        from ablations.training import processes

        is_first, decide = processes.is_first(), processes.from_first
    with contextlib.ExitStack() as locks:
        ours, errors = decide(lambda: _ours(configs, locks, patience_seconds))
        if not ours:
            return errors
        folders = [RunFolder.of(configs[i]) for i in ours]
        try:
            with interrupt.listening():
                results = _train([configs[i] for i in ours], quiet)
        except (UserError, OSError) as error:
            results = [error] * len(ours)
        except Exception as error:
            for folder in folders if is_first else ():
                folder.note_failure(peers.reason(error) if several else peers.summary(error), details(error))
            raise
        for i, folder, result in zip(ours, folders, results, strict=True):
            errors[i] = _reported(result, folder)
            if is_first and isinstance(result, Exception) and not isinstance(errors[i], interrupt.Interrupted):
                folder.note_failure(str(errors[i]), details(result))
    return errors


def details(error: BaseException) -> str:
    """The traceback of an error, unless it is a user's mistake without a further cause."""
    expected = isinstance(error, UserError) and error.__cause__ is None
    return "" if expected else "".join(traceback.format_exception(error))


def _ours(configs, locks: contextlib.ExitStack, patience_seconds: float) -> tuple[list[int], list[UserError | None]]:
    """The indices of the runs to train here, now locked; and why each other run is not, None if it is done."""
    ours: list[int] = []
    errors: list[UserError | None] = [None] * len(configs)
    for i, config in enumerate(configs):
        folder = RunFolder.of(config)
        if not locks.enter_context(lock.hold(folder.path, patience_seconds)):
            errors[i] = Busy(f"{folder}: {lock.holder(folder.path) or 'another process'} works on it")
            continue
        try:  # another process may have done it just now, or one of another configuration
            is_done = done.record_of(config) is not None
        except UserError as error:
            errors[i] = done.not_replaced(error) if isinstance(error, UnreadableRecord) else error
            continue
        if is_done:
            continue
        if interrupt.stop_requested(config.runs_dir):
            errors[i] = interrupt.NotStarted()
        else:
            folder.failure_file.unlink(missing_ok=True)
            if config.force and folder.hydra.resolve() != _hydras_folder():  # of the run that this one replaces
                shutil.rmtree(folder.hydra, ignore_errors=True)
            ours.append(i)
    return ours, errors


def _hydras_folder() -> Path | None:
    """Where Hydra has written the configuration of this process' job, if anywhere."""
    job = HydraConfig.get() if HydraConfig.initialized() else None
    if job is None or job.output_subdir is None or OmegaConf.is_missing(job.runtime, "output_dir"):
        return None
    return Path(job.runtime.output_dir, job.output_subdir).resolve()


def _train(configs: list[Config], quiet: bool) -> list[dict | UserError | OSError]:
    """Train. Returns each run's record or what ended it; raises UserError or OSError if that ended them all."""
    import jax

    from ablations.data import catalogue
    from ablations.training import driver
    from ablations.training.loop import training

    datasets = {repr(config.data): config.data for config in configs}
    datasets = {name: catalogue.load(data) for name, data in datasets.items()}
    runs = [training(config, RunFolder.of(config).path, datasets[repr(config.data)], quiet=quiet) for config in configs]
    try:
        return driver.run(runs, configs[0])
    except jax.errors.JaxRuntimeError as error:
        if error.error_code != RESOURCE_EXHAUSTED:
            raise
        what = f"{len(configs)} runs at a time; choose a smaller runs_at_a_time" if len(configs) > 1 else "this run"
        raise UserError(
            f"the device has not enough memory for {what}: remat=true and a smaller recipe.batch_size need less; "
            f"what was finished is kept. It said: {str(error).splitlines()[0]}"
        ) from error
    finally:
        # A run that is not closed keeps its workers and its progress.json, in a sweep for as long as its error is kept.
        for run in runs:
            run.close()


def _reported(result: dict | Exception, folder: RunFolder) -> UserError | None:
    """The message for the user about how a run ended; None if it is finished."""
    if isinstance(result, OSError):
        if (name := result.filename) is None:  # as of checkpoints, or of what is no file: no memory, no more threads
            of_folder = result.errno in OF_DISKS
        else:
            of_folder = Path(os.fsdecode(name)).is_relative_to(folder.path)
        what = f"{folder} cannot be written: {result.strerror or result}" if of_folder else why(result)
        remedy = "Make room" if result.errno in FULL else "Mend that"
        return UserError(f"{what}; what was finished is kept. {remedy}, then type the same command")
    return result if isinstance(result, UserError) else None
