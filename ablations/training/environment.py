"""What a process is told before XLA starts: threads, memory, caches, devices.

Most of it is read when the first array is made, not when JAX is imported. Where somebody has made one before, as in a
notebook, the number of threads stands, and only where compiled programs are kept can still be said.
"""

import contextlib
import os
import sys
from pathlib import Path

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.system import machine, malloc
from ablations.system.files import cache

SECONDS_TO_KEEP = 0.2  # a program that took so long to compile


def prepare(config: Config) -> None:
    """Fix the number of XLA's threads on a CPU and what becomes of its memory, and let all processes share compiled
    programs and an accelerator. Once XLA has started, share programs and no more: see `check`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _keep_programs()
    if threads() is not None:
        return
    if config.devices and config.distributed.name in ("none", "manual"):  # else a task has its share already
        machine.take(config.devices)
    fix_threads(config)
    # A step in several threads was measured to be slower so. Where JAX is imported the process is somebody else's too.
    if config.threads == 1 and not machine.usable() and "jax" not in sys.modules:
        malloc.keep()
    if config.packing == "processes" and (runs := config.runs_at_a_time or 1) > 1:
        # Each takes its part of an accelerator's memory when it starts; alone, XLA's default is three quarters.
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / runs:.3f}")


def fix_threads(config: Config) -> None:
    """Say with how many threads XLA is to compute on a CPU; in vain once it has started."""
    os.environ["NPROC"] = str(config.threads)


def check(config: Config) -> None:
    """Raise UserError where XLA has started with another number of threads than a run on a CPU would record."""
    there = threads()
    if there is None:
        return
    import jax

    # XLA has a thread for each device at least, and a test has several devices on one core.
    if jax.default_backend() == "cpu" and there != max(config.threads, len(jax.local_devices())):
        raise UserError(
            f"threads={config.threads}: JAX computes with {there} in this process already, and other threads give other "
            f"last bits. Choose threads={there}; or start Python again, or the notebook's kernel, and train before "
            f"JAX makes its first array, or with NPROC={config.threads} in the environment"
        )


def threads() -> int | None:
    """How many threads XLA computes with on the CPU in this process; None as long as it has not started.

    Linux names the threads of a process. Elsewhere: what XLA reads when it starts.
    """
    if "jax" not in sys.modules:
        return None
    from jax._src import xla_bridge  # no public name says so without starting XLA

    if not xla_bridge.backends_are_initialized():
        return None
    names = []
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended since
            names.append((task / "comm").read_text())
    return sum(name.startswith("tf_XLAEigen") for name in names) or int(os.environ.get("NPROC") or machine.cores())


def _keep_programs() -> None:
    """Where compiled programs are kept, unless the user has said so."""
    folder = str(cache() / "xla")
    if "jax" not in sys.modules:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(SECONDS_TO_KEEP))
        return
    import jax

    folder_before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]  # JAX adds it
    if folder_before is None:  # the variables are read when JAX is imported
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS_TO_KEEP)
