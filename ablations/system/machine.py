"""The cores and GPUs of this machine, found without JAX, and the GPUs that a process takes for itself.

A process must choose its GPUs before it imports JAX. Runs side by side, of one sweep or of several commands, then have
GPUs of their own.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import platform
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ablations.errors import UserError
from ablations.system.files import may

DEV = Path("/dev")
# The plugins of JAX for each platform, and the files of which a machine with such a device has one. dxg: GPUs in WSL.
PLUGINS = {"cuda": ("jax_cuda12_plugin", "jax_cuda13_plugin"), "tpu": ("libtpu",)}
DEVICES = {"cuda": ("nvidia[0-9]*", "dxg"), "tpu": ("accel*", "vfio/[0-9]*")}
VISIBLE = "CUDA_VISIBLE_DEVICES"
HIDDEN = ("", "-1")  # its values with which no GPU is visible
_taken = contextlib.ExitStack()  # the locks; the system releases them when this process ends


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable() -> bool:
    """Whether JAX would use an accelerator: there is one, its plugin is installed, and nothing was said against it."""
    return os.environ.get("JAX_PLATFORMS", "") != "cpu" and any(installed(name) and _present(name) for name in PLUGINS)


def only_compiles() -> bool:
    """Whether plugins are installed without a device for any of them: to compile for devices that are elsewhere."""
    return any(map(installed, PLUGINS)) and not any(installed(name) and _present(name) for name in PLUGINS)


def installed(platform: str) -> bool:
    """Whether a plugin of JAX for "cuda" or "tpu" is installed, which does not mean that there is a device."""
    return any(find_spec(name) for name in PLUGINS[platform])


def _present(platform: str) -> bool:
    if platform == "cuda" and os.environ.get(VISIBLE, "all").strip() in HIDDEN:
        return False
    return any(path for pattern in DEVICES[platform] for path in DEV.glob(pattern))


def gpus() -> list[str]:
    """The GPUs by the names that CUDA_VISIBLE_DEVICES takes; empty if JAX would use none."""
    if not usable() or (installed("tpu") and _present("tpu")):
        return []
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [name for name in visible.split(",") if name.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in DEV.glob("nvidia[0-9]*")), key=int)


def take(count: int) -> None:
    """Restrict this process, and those that it starts, to so many GPUs: those that the fewest others have taken.

    Does nothing if there are no more than that. Raises UserError if there is no place to note which are taken.
    """
    available = gpus()
    if count >= len(available):
        return
    locks, chosen = _locks(), []
    for turn, name in ((turn, name) for turn in itertools.count() for name in available):
        if name not in chosen and _lock(locks / f"gpu-{name}-{turn}"):
            chosen.append(name)
        if len(chosen) == count:
            break
    os.environ[VISIBLE] = ",".join(sorted(chosen, key=available.index))


def _locks() -> Path:
    """A folder of this user, which all processes on this machine find."""
    locks = None
    try:
        locks = Path(tempfile.gettempdir()) / f"ablations-{os.getuid()}"
        locks.mkdir(exist_ok=True)
        if locks.stat().st_uid != os.getuid() or not may(locks, os.W_OK):
            raise PermissionError(errno.EACCES, "it is not yours", str(locks))
    except OSError as error:
        raise UserError(
            f"{locks or 'TMPDIR'} cannot be used to note which GPUs are taken: {error.strerror}; name a folder of yours with "
            "TMPDIR=..., the same for all commands, or the GPUs with CUDA_VISIBLE_DEVICES=..."
        ) from error
    return locks


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
