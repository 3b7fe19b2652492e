"""Ctrl-C and SIGTERM ask a run to stop after its step; a second Ctrl-C stops at once."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

from ablations.errors import UserError


class Interrupted(UserError):
    """A run was asked to stop and has kept what it had."""


NOT_STARTED = "not started: the sweep was asked to stop"

_signal: int | None = None

_stop: Path | None = None


def listen(signals=(signal.SIGINT, signal.SIGTERM), after=None) -> None:
    """From now on note the signals instead of dying; `after` is called on the first. Main thread only."""

    def note(number, _frame):
        global _signal
        if _signal is not None and number == signal.SIGINT:
            for process in multiprocessing.active_children():  # those that the terminal does not reach
                process.kill()
            os._exit(130)
        _signal = number
        if after:
            after()

    if threading.current_thread() is threading.main_thread():
        for number in signals:
            signal.signal(number, note)


def asked(runs_dir: Path) -> bool:
    """Whether this process was asked to stop, or the sweep that it works for, or that has died."""
    return _signal is not None or orphaned() or (_stop or marker(runs_dir, os.getppid())).exists()


def orphaned() -> bool:
    """Whether the process that started this one to work for it has died."""
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid


def obey(stop: Path) -> None:
    """From now on this process works for the sweep that makes this file to stop."""
    global _stop
    _stop = stop


def exit_code() -> int | None:
    """What a process that was stopped by its signal exits with; None where there was none."""
    return None if _signal is None else 128 + _signal


def number() -> int | None:
    """The signal that stopped this process; None where there was none."""
    return _signal


def marker(runs_dir: Path, process: int) -> Path:
    """The file by which a sweep tells its workers, those it has yet to start too, to stop."""
    return Path(runs_dir) / f".stop-{os.uname().nodename}-{process}"  # other hosts may see the same folder
