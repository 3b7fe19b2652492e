"""Ctrl-C and SIGTERM ask a run to stop after its step; a second Ctrl-C stops at once.

with listening() as stop:
    ...                          # here a signal is noted, and `asked` says so
return stop.exit_code or 0       # from here on the signals do again what they did before
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ablations.errors import UserError


class Interrupted(UserError):
    """A run was asked to stop and has kept what it had."""


GO_ON = "type the same command to go on"  # how the message of an interrupted run ends


class NotStarted(Interrupted):
    """It was asked to stop before it began."""

    def __init__(self):
        super().__init__("not started: the sweep was asked to stop")

    def __reduce__(self):
        return type(self), ()


SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], object]


@dataclass(eq=False)
class Stop:
    """What was heard in a block that listens.

    signal: the number of the last one, None for none. after: called on each signal. again: what a second Ctrl-C does.
    """

    signal: int | None
    after: Callable[[], object] | None
    again: Handler
    thread: int = field(default_factory=threading.get_ident)

    @property
    def exit_code(self) -> int | None:
        """What a process that was stopped by its signal exits with."""
        return None if self.signal is None else 128 + self.signal


_blocks: list[Stop] = []  # those that listen now, of all threads; of each thread the outermost first

_for_good = contextlib.ExitStack()  # the block of a process that listens as long as it lives

_stop: Path | None = None


def end_process(_number: int, _frame: FrameType | None) -> None:
    """What a second Ctrl-C does to a command."""
    for process in multiprocessing.active_children():  # those that the terminal does not reach
        process.kill()
    os._exit(130)


@contextlib.contextmanager
def listening(
    signals: tuple[int, ...] = SIGNALS, *, after: Callable[[], object] | None = None, again: Handler = end_process
) -> Iterator[Stop]:
    """In this block note the signals instead of dying; after it they do what they did before.

    Blocks may stand inside blocks: a signal is one to all of them, and the outermost says what a second Ctrl-C does.
    Only the main thread can hear signals. A block in another thread changes nothing, and hears those that come while
    the main thread is in such a block too.
    """
    outer = [block for block in _blocks if block.thread == threading.get_ident()]
    stop = Stop(outer[-1].signal if outer else None, after, outer[0].again if outer else again)
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.signal is not None:
            stop.again(number, frame)
            return
        heard = tuple(_blocks)
        for block in heard:
            block.signal = number
        for block in heard:
            if block.after:
                block.after()

    _blocks.append(stop)
    try:
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                before[number] = signal.getsignal(number)
                signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python
        _blocks.remove(stop)


@functools.cache  # once is enough
def listen(signals: tuple[int, ...] = SIGNALS) -> None:
    """Listen as long as this process lives: for one that exists for nothing but its runs."""
    _for_good.enter_context(listening(signals))


def number() -> int | None:
    """The signal that stops what this thread does; None where there was none."""
    return next((block.signal for block in _blocks if block.thread == threading.get_ident() and block.signal), None)


def exit_code() -> int | None:
    """What a process that was stopped by its signal exits with; None where there was none."""
    return None if (heard := number()) is None else 128 + heard


def asked(runs_dir: Path) -> bool:
    """Whether this thread was asked to stop, or the sweep that this process works for, or that has died."""
    return number() is not None or orphaned() or (_stop or marker(runs_dir, os.getppid())).exists()


def orphaned() -> bool:
    """Whether the process that started this one to work for it has died."""
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid


def obey(stop: Path) -> None:
    """From now on this process works for the sweep that makes this file to stop."""
    global _stop
    _stop = stop


def marker(runs_dir: Path, process: int) -> Path:
    """The file by which a sweep tells its workers, those it has yet to start too, to stop."""
    return Path(runs_dir) / f".stop-{os.uname().nodename}-{process}"  # other hosts may see the same folder
