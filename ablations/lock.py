"""One process at a time works on a run; the others see whose it is."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[bool]:
    """Whether this process has the folder now; false at once where another one has it.

    The system lets go of the lock when a process ends, however it ends.
    """
    with open(folder / "lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.uname().nodename} process {os.getpid()}\n")
        file.flush()
        yield True


def holder(folder: Path) -> str | None:
    """Who works on a run now, None where nobody does."""
    try:
        with open(folder / "lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another process"
    except FileNotFoundError:
        pass
    return None
