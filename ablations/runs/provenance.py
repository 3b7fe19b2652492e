"""Where a result comes from: package versions, machine, commit and command."""

import contextlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path

from ablations.system.machine import processor


def provenance() -> dict:
    """What a record says of its origin: package versions, machine, commit."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": versions(),
        "device": f"{device.platform}: {processor() if device.platform == 'cpu' else device.device_kind}",
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a result."""
    names = ("ablations", "jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """The commit of the running source, with "+" if it has uncommitted changes; "unknown" outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", Path(__file__).parent, *arguments], capture_output=True, text=True, check=True
        ).stdout

    try:
        # Installed into another project that uses git, this file lies in that project's repository, not in ours.
        this_file = f"{__name__.replace('.', '/')}.py"
        if this_file not in git("ls-files", "--full-name", Path(__file__).name).splitlines():
            return "unknown"
        changes = git("status", "--porcelain", "--untracked-files=no", ":/ablations", ":/conf")
        return git("rev-parse", "HEAD").strip() + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


_caller: ContextVar[str | None] = ContextVar("caller", default=None)


@contextlib.contextmanager
def called_as(call: str) -> Iterator[None]:
    """Within this block, `command` returns this call from Python instead of a command line."""
    token = _caller.set(call)
    try:
        yield
    finally:
        _caller.reset(token)


def command() -> str:
    """The command line, ready to be typed again, or the call from Python."""
    return _caller.get() or shlex.join(["ablations", *sys.argv[1:]])
