"""One process at a time: locks that the system takes back when a process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ablations.errors import UserError

SECONDS_BETWEEN_TRIES = 0.5

# Where a file system has none: Lustre without -o flock, some network shares.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, patience_seconds: float = 0.0) -> Iterator[bool]:
    """Whether this process has the run in this folder now; false where another one has it, after so long a wait.

    It tries twice at least: who looks whether a run is held, holds it for a moment.
    Locks reach across hosts where the folder is on NFS, or on Lustre mounted with -o flock. Raises UserError where
    its file system has none.
    """
    until = time.monotonic() + max(patience_seconds, SECONDS_BETWEEN_TRIES)
    with open(folder / "lock", "a+") as file:
        while not _take(file, fcntl.LOCK_EX):
            if time.monotonic() >= until:
                yield False
                return
            time.sleep(SECONDS_BETWEEN_TRIES)
        file.truncate(0)
        file.write(f"{os.uname().nodename} process {os.getpid()}\n")
        file.flush()
        yield True


def _take(file, kind: int, *, wait: bool = False) -> bool:
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(
            f"{file.name}: its file system keeps no locks ({error.strerror}), so two processes could do the same work; "
            "choose another runs_dir=..., for a data set data.data_dir=..., or have it mounted with locks (Lustre: -o flock)"
        ) from error
    return True


def holder(folder: Path) -> str | None:
    """Who works on a run now, None where nobody does."""
    try:
        with open(folder / "lock") as file:
            if not _take(file, fcntl.LOCK_SH):
                return file.read().strip() or "another process"
    except FileNotFoundError:
        pass
    return None


def give(file) -> None:
    """Take the lock of an open file for the processes that will inherit it: it is held as long as one of them lives."""
    _take(file, fcntl.LOCK_EX)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of this file."""
    try:
        with open(path) as file:
            return not _take(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock named by a file, which is gone afterwards; `waiting` is called once if another holds it.

    Raises UserError where its file system has no locks.
    """
    while True:
        with open(path, "a") as file:
            if not _take(file, fcntl.LOCK_EX):
                waiting()
                _take(file, fcntl.LOCK_EX, wait=True)
            if not _is(file.fileno(), path):
                continue  # its last holder has removed it: the file of this name is another one
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()
            return


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
