"""Locks that the system releases when a process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ablations.errors import UserError

FILE = "lock"  # in the folder of a run
SECONDS_BETWEEN_TRIES = 0.5

# The errors of file systems without locks: Lustre without -o flock, some network shares.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, patience_seconds: float = 0.0) -> Iterator[bool]:
    """Try to lock a run's folder for so many seconds; yields whether we hold it.

    It tries at least twice, since `holder` takes the lock for a moment. Locks reach across hosts on NFS, and on Lustre
    mounted with -o flock. Raises UserError if the file system has no locks.
    """
    until = time.monotonic() + max(patience_seconds, SECONDS_BETWEEN_TRIES)
    with open(folder / FILE, "a+") as file:
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
            f"{file.name}: its file system has no locks ({error.strerror}), so two processes could do the same work; "
            "choose another runs_dir=..., for a data set data.data_dir=..., or have it mounted with locks (Lustre: -o flock)"
        ) from error
    return True


def holder(folder: Path) -> str | None:
    """The process that works on a run now; None if none does, or if one may not look."""
    with contextlib.suppress(FileNotFoundError, PermissionError), open(folder / FILE) as file:
        if not _take(file, fcntl.LOCK_SH):
            return file.read().strip() or "another process"
    return None


def give(file) -> None:
    """Lock an open file for as long as any process that inherits it lives."""
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
    """Hold the lock of this file and remove the file afterwards; `waiting` is called once if another process holds it.

    Raises UserError if the file system has no locks.
    """
    while True:
        with open(path, "a") as file:
            if not _take(file, fcntl.LOCK_EX):
                waiting()
                _take(file, fcntl.LOCK_EX, wait=True)
            if not _is(file.fileno(), path):
                continue  # its last holder has removed the file: another one has its name now
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
