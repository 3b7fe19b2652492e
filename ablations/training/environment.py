"""What must be set before JAX is imported: threads, memory, caches, devices."""

import os

from ablations.config.run import Config
from ablations.system import machine, malloc
from ablations.system.files import cache


def prepare(config: Config) -> None:
    """Fix the number of XLA's threads on a CPU and what becomes of its memory, and let all processes share compiled
    programs and an accelerator.
    """
    if config.devices and config.distributed.name in ("none", "manual"):  # else a task has its share already
        machine.take(config.devices)
    os.environ["NPROC"] = str(config.threads)
    if config.threads == 1 and not machine.usable():  # a step in several threads was measured to be slower so
        malloc.keep()
    if config.packing == "processes" and (config.runs_at_a_time or 1) > 1:
        # Each takes its part of an accelerator's memory when it starts; alone, XLA's default is three quarters.
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / config.runs_at_a_time:.3f}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache() / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
