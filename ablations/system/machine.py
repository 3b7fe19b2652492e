"""The cores and GPUs of this machine, as they are known without JAX, and which GPUs a process takes for itself.

What a process may use must be said before it imports JAX: then runs side by side, of one sweep or of several commands,
have devices of their own.
"""

import contextlib
import fcntl
import itertools
import os
import platform
import tempfile
from importlib.util import find_spec
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"

_taken = contextlib.ExitStack()  # the locks, which the system takes back when this process ends


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable() -> bool:
    """Whether JAX would look for an accelerator here: a plugin for one is installed, which does not say that one is there."""
    installed = any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin", "libtpu"))
    return installed and os.environ.get("JAX_PLATFORMS", "") != "cpu"


def gpus() -> list[str]:
    """By the names that CUDA takes; empty where JAX would use none."""
    if not usable() or find_spec("libtpu"):
        return []
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [name for name in visible.split(",") if name.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


def take(count: int) -> None:
    """Make so many the only ones that this process, and those that it starts, may use: those that fewest others took.

    Does nothing where no more are there.
    """
    there = gpus()
    if count >= len(there):
        return
    place = Path(tempfile.gettempdir()) / f"ablations-{os.getuid()}"
    place.mkdir(exist_ok=True)
    chosen = []
    for turn, name in ((turn, name) for turn in itertools.count() for name in there):
        if name not in chosen and _lock(place / f"gpu-{name}-{turn}"):
            chosen.append(name)
        if len(chosen) == count:
            break
    os.environ[VISIBLE] = ",".join(sorted(chosen, key=there.index))


def _lock(path: Path) -> bool:
    file = open(path, "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _taken.enter_context(file)
    return True


def processor() -> str:
    """The model of the processor and the number of its cores."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
