"""Runs in this process: locked, trained, and their errors kept in their folders."""

import contextlib
import traceback
from pathlib import Path

from ablations.config.run import Config, folder_of
from ablations.errors import UserError
from ablations.runs.record import FAILURE, read_record
from ablations.system import interrupt, lock

# How long a job of a queue waits for a run's lock: a file server takes it back from a host that is lost after 90 s, the
# lease of NFS 4 (linux/Documentation, nfsv4leasetime); twice that.
PATIENCE_SECONDS = 180.0


class Busy(UserError):
    """Another process works on this run."""


def run_here(configs: list[Config], *, quiet: bool, patience_seconds: float) -> list[UserError | None]:
    """`run` in this process. Where it is one of several of a distributed run, the first has the folder."""
    first, alike = True, lambda find: find()
    if configs[0].distributed.name != "none":
        from ablations.training import processes

        first, alike = processes.is_first(), processes.from_first
    with contextlib.ExitStack() as locks:
        ours, errors = alike(lambda: _ours(configs, locks, patience_seconds))
        if not ours:
            return errors
        folders = [folder_of(configs[i]) for i in ours]
        try:
            with interrupt.listening():
                results = _train([configs[i] for i in ours], quiet)
        except (UserError, OSError) as error:
            results = [error] * len(ours)
        except Exception:
            why = traceback.format_exc()
            if configs[0].distributed.name != "none":
                why = f"{ANOTHER_LOST}\n" if was_lost(why) else why
            for folder in folders if first else ():
                _note(folder, why)
            raise
        for i, folder, result in zip(ours, folders, results, strict=True):
            errors[i] = _told(result, folder)
            if first and errors[i] and not isinstance(errors[i], interrupt.Interrupted):
                _note(folder, f"{errors[i]}\n")
    return errors


def _ours(configs, locks: contextlib.ExitStack, patience_seconds: float) -> tuple[list[int], list[UserError | None]]:
    """Which of the runs are to be trained here, locked from now on; of each other one why not, None where it is done."""
    ours, errors = [], [None] * len(configs)
    for i, config in enumerate(configs):
        folder = folder_of(config)
        if not locks.enter_context(lock.hold(folder, patience_seconds)):
            errors[i] = Busy(f"{folder}: {lock.holder(folder) or 'another process'} works on it")
        elif not config.force and (record := read_record(folder)) and config.matches(record["config"]):
            pass  # another process has just done it
        elif interrupt.asked(config.runs_dir):
            errors[i] = interrupt.Interrupted(interrupt.NOT_STARTED)
        else:
            (folder / FAILURE).unlink(missing_ok=True)
            ours.append(i)
    return ours, errors


def _note(folder: Path, why: str) -> None:
    with contextlib.suppress(OSError):  # a full disk is why, perhaps
        (folder / FAILURE).write_text(why)


def _train(configs: list[Config], quiet: bool) -> list[dict | Exception]:
    """Of each its record or what ended it. Raises UserError or OSError where that ended them all."""
    import jax

    from ablations.data import catalogue
    from ablations.training import driver
    from ablations.training.loop import training

    datasets = {repr(config.data): config.data for config in configs}
    datasets = {name: catalogue.load(of) for name, of in datasets.items()}
    runs = [training(config, folder_of(config), datasets[repr(config.data)], quiet=quiet) for config in configs]
    try:
        return driver.run(runs, configs[0])
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        what = f"{len(configs)} runs at a time; choose a smaller runs_at_a_time" if len(configs) > 1 else "this run"
        raise UserError(
            f"the device has not enough memory for {what}: remat=true and a smaller recipe.batch_size need less; "
            f"what was finished is kept. It said: {str(error).splitlines()[0]}"
        ) from error
    finally:
        # One that was left inside, in a sweep as long as its error is, keeps its workers and its progress.json.
        for run in runs:
            run.close()


def _told(result: dict | Exception, folder: Path) -> UserError | None:
    """A run's end as its user is told of it."""
    if isinstance(result, OSError):
        reason = result.strerror or str(result)
        return UserError(
            f"{folder} cannot be written: {reason}; what was finished is kept. Make room, then type the same command"
        )
    return result if isinstance(result, UserError) else None


# What the traces of a process say where another one has gone.
LOST = ("distributed service", "Gloo", "NCCL", "heartbeat", "Socket closed", "Connection reset", "coordination service")

GO_ON = "what was finished is kept; start all processes again, as many or others, to go on from the last checkpoint"

ANOTHER_LOST = f"another process of this run was lost; {GO_ON}"


def was_lost(words: str) -> bool:
    """Whether traces of a process say that it ended because another one has gone."""
    return any(sign in words for sign in LOST)
