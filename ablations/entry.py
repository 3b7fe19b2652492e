"""One run in its own process: what must be set before JAX is imported, then `train`."""

import contextlib
import os
import traceback
from pathlib import Path

from ablations import accelerators, interrupt, lock, malloc
from ablations.config import Config
from ablations.errors import UserError
from ablations.records import FAILURE, read_record

# How long a job of a queue waits for a run's lock: a file server takes it back from a host that is lost after 90 s, the
# lease of NFS 4 (linux/Documentation, nfsv4leasetime); twice that.
PATIENCE_SECONDS = 180.0


class Busy(UserError):
    """Another process works on this run."""


def folder_of(config: Config) -> Path:
    return Path(config.runs_dir) / config.study / config.row / f"seed={config.seed}"


def sharing(with_first: dict[Path, list[Config]], first: Config) -> list[Config]:
    """The configurations that run in one process with this one, which leads them; by itself where it leads none."""
    return with_first.get(folder_of(first), [first])


def run(configs: list[Config], *, quiet: bool = False, patience_seconds: float = 0.0) -> list[UserError | None]:
    """Train configurations that share a device in this process (`pack`), and leave everything in the folder of each.

    failure.txt is there as long as a run's last try has failed. Of each run what kept it from its end, None where nothing
    did: Busy where another process does it, Interrupted where a signal stopped it, or an error with the system's reason
    where the disk refused.
    patience_seconds: how long to wait where another process has a run.
    """
    prepare(configs[0])
    if configs[0].distributed.name != "none":
        from ablations import hosts

        return [hosts.run(config, quiet=quiet, patience_seconds=patience_seconds) for config in configs]
    return run_here(configs, quiet=quiet, patience_seconds=patience_seconds)


def run_here(configs: list[Config], *, quiet: bool, patience_seconds: float) -> list[UserError | None]:
    """`run` in this process. Where it is one of several of a distributed run, the first has the folder."""
    first, alike = True, lambda find: find()
    if configs[0].distributed.name != "none":
        from ablations import mesh

        first, alike = mesh.is_first(), mesh.from_first
    with contextlib.ExitStack() as locks:
        ours, errors = alike(lambda: _ours(configs, locks, patience_seconds))
        if not ours:
            return errors
        interrupt.listen()
        folders = [folder_of(configs[i]) for i in ours]
        try:
            results = _train([configs[i] for i in ours], quiet)
        except (UserError, OSError) as error:
            results = [error] * len(ours)
        except Exception:
            why = traceback.format_exc()
            if configs[0].distributed.name != "none":
                from ablations import hosts

                why = f"{hosts.ANOTHER_LOST}\n" if hosts.was_lost(why) else why
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

    from ablations import data, pack
    from ablations.train import training

    datasets = {repr(config.data): config.data for config in configs}
    datasets = {name: data.load(of) for name, of in datasets.items()}
    runs = [training(config, folder_of(config), datasets[repr(config.data)], quiet=quiet) for config in configs]
    try:
        return pack.run(runs, configs[0])
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


def prepare(config: Config) -> None:
    """Fix the number of XLA's threads on a CPU and what becomes of its memory, and let all processes share compiled
    programs and an accelerator.
    """
    if config.devices and config.distributed.name in ("none", "manual"):  # else a task has its share already
        accelerators.take(config.devices)
    os.environ["NPROC"] = str(config.threads)
    if config.threads == 1 and not accelerators.usable():  # a step in several threads was measured to be slower so
        malloc.keep()
    if config.packing == "processes" and (config.runs_at_a_time or 1) > 1:
        # Each takes its part of an accelerator's memory when it starts; alone, XLA's default is three quarters.
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / config.runs_at_a_time:.3f}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache() / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def cache() -> Path:
    """Where is kept what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations"
