"""What a process must settle before XLA starts: threads, memory, caches, devices; and its start.

Most of it is read when the first array is made, not when JAX is imported. If an array was made before, as in a
notebook, the number of threads is fixed, and only the cache of compiled programs can still be chosen.
"""

import contextlib
import os
import sys
import warnings
from pathlib import Path

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.system import machine, malloc
from ablations.system.files import cache

SECONDS_TO_KEEP = 0.2  # programs that compile faster are not kept


def prepare(config: Config) -> None:
    """Fix the number of XLA's threads on a CPU and how memory is freed, and let all processes share compiled programs
    and an accelerator. Once XLA has started, only compiled programs can still be shared; see `check`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if machine.only_compiles():
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # or a plugin complains at length that its driver is missing
    _keep_programs()
    if threads() is not None:
        return
    if config.devices and config.distributed.name in ("none", "manual"):  # else a task has its share already
        machine.take(config.devices)
    fix_threads(config)
    # Only with one thread: steps in several were measured to be slower. If JAX is imported, others use the process too.
    if config.threads == 1 and not machine.usable() and "jax" not in sys.modules:
        malloc.keep()
    if config.packing == "processes" and (runs := config.runs_at_a_time or 1) > 1:
        # Each process takes its part of an accelerator's memory when it starts; XLA's default is three quarters.
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / runs:.3f}")


def fix_threads(config: Config) -> None:
    """Say with how many threads XLA is to compute on a CPU; has no effect once XLA has started."""
    os.environ["NPROC"] = str(config.threads)


def check(config: Config) -> None:
    """Raise UserError if XLA has started with another number of threads than a run on a CPU would record."""
    started = threads()
    if started is None:
        return
    import jax

    # XLA has at least one thread for each device, and a test has several devices on one core.
    if jax.default_backend() == "cpu" and started != max(config.threads, len(jax.local_devices())):
        raise UserError(
            f"threads={config.threads}: JAX computes with {started} in this process already, and another number of "
            f"threads changes the last bits. Choose threads={started}; or restart Python, or the notebook's kernel, "
            f"and train before JAX makes its first array, or set NPROC={config.threads} in the environment"
        )


def start() -> None:
    """Start XLA, unless it has started.

    Raises UserError if this machine has an accelerator that JAX cannot use. JAX itself says so at the first try only: at
    the next one in the same process, as for the next run of a sweep, it takes the CPU without a word.
    """
    import jax

    try:
        if jax.default_backend() != "cpu" or not machine.usable():
            return
        reason = "it has said why at its first try"
    except RuntimeError as error:
        reason = str(error).partition(" (")[0]  # advice for whoever imports JAX follows
    raise UserError(
        f"JAX cannot use this machine's accelerator: {reason}. nvidia-smi shows whether a GPU's driver answers; with "
        "JAX_PLATFORMS=cpu in the environment, the same command computes on the processor"
    )


def threads() -> int | None:
    """The number of threads with which XLA computes on the CPU in this process; None if it has not started.

    Linux names the threads of a process. On other systems, the number that XLA reads when it starts.
    """
    if "jax" not in sys.modules:
        return None
    from jax._src import xla_bridge  # no public function tells without starting XLA

    if not xla_bridge.backends_are_initialized():
        return None
    names = []
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # the thread has ended since
            names.append((task / "comm").read_text())
    return sum(name.startswith("tf_XLAEigen") for name in names) or int(os.environ.get("NPROC") or machine.cores())


def _keep_programs() -> None:
    """Choose where compiled programs are kept, unless the user has. Where they cannot be, they are compiled each time."""
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry", UserWarning)
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
