"""What a figure must name: package versions, machine, commit, command."""

import contextlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path

from ablations.system.machine import processor


def provenance() -> dict:
    """What a figure must name: package versions, machine, commit."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": versions(),
        "device": f"{device.platform}: {processor() if device.platform == 'cpu' else device.device_kind}",
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that decide a result."""
    names = ("ablations", "jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """The commit of the source that runs, with "+" where it has uncommitted changes; "unknown" outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", Path(__file__).parent, *arguments], capture_output=True, text=True, check=True
        ).stdout

    try:
        # Installed into a project that is under git, this file is in a repository, and not in ours.
        here = f"{__name__.replace('.', '/')}.py"
        if here not in git("ls-files", "--full-name", Path(__file__).name).splitlines():
            return "unknown"
        changes = git("status", "--porcelain", "--untracked-files=no", ":/ablations", ":/conf")
        return git("rev-parse", "HEAD").strip() + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


_caller: ContextVar[str | None] = ContextVar("caller", default=None)


@contextlib.contextmanager
def called_as(call: str) -> Iterator[None]:
    """In this block no command is at work, but a call from Python."""
    token = _caller.set(call)
    try:
        yield
    finally:
        _caller.reset(token)


def command() -> str:
    """The command line, as typed, or the call."""
    return _caller.get() or " ".join(["ablations", *sys.argv[1:]])
