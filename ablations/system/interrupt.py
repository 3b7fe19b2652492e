"""Ctrl-C, SIGTERM and the end of a terminal (SIGHUP) ask a run to stop after its current step; a second Ctrl-C stops it
at once.

with listening() as stop:
    ...                          # signals are noted, and `stop_requested` reports them
return stop.exit_code or 0       # signals do again what they did before the block
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

GO_ON = "type the same command to go on"  # how the message of an interrupted run ends
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], object]


class Interrupted(UserError):
    """A run was asked to stop; what it had computed is kept."""


class NotStarted(Interrupted):
    """A run was asked to stop before it began."""

    def __init__(self):
        super().__init__("not started: the sweep was asked to stop")

    def __reduce__(self):
        return type(self), ()


@dataclass(eq=False)
class Stop:
    """The signals that a `listening` block has received.

    signal: the number of the last one, None if there was none. on_signal: called on each signal.
    on_second: handles a second Ctrl-C.
    """

    signal: int | None
    on_signal: Callable[[], object] | None
    on_second: Handler
    thread: int = field(default_factory=threading.get_ident)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that this signal has stopped; None if there was none."""
        return None if self.signal is None else 128 + self.signal


_blocks: list[Stop] = []  # the blocks that listen now, in all threads; each thread's outermost block comes first
_for_good = contextlib.ExitStack()  # the block of a process that listens for as long as it lives
_stop_file: Path | None = None
_markers: list[Path] = []  # of the sweeps of this process


def end_process(_number: int, _frame: FrameType | None) -> None:
    """End this process and its children at once, as a second Ctrl-C does to a command."""
    for process in multiprocessing.active_children():  # the terminal's signal may not reach them
        process.kill()
    for path in _markers:  # a later process of the same number is not asked to stop
        with contextlib.suppress(OSError):
            path.unlink()
    os._exit(130)


@contextlib.contextmanager
def listening(
    signals: tuple[int, ...] = SIGNALS,
    *,
    on_signal: Callable[[], object] | None = None,
    on_second: Handler = end_process,
) -> Iterator[Stop]:
    """Within this block note signals instead of dying of them; after it they do what they did before.

    Blocks may be nested: a signal counts for all of them, and the outermost decides what a second Ctrl-C does.
    Python handles signals in the main thread only. A block in another thread changes no handler, and sees only signals
    that arrive while the main thread is in such a block too.
    """
    outer = [block for block in _blocks if block.thread == threading.get_ident()]
    stop = Stop(outer[-1].signal if outer else None, on_signal, outer[0].on_second if outer else on_second)
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.signal is not None:
            stop.on_second(number, frame)
            return
        blocks = tuple(_blocks)
        for block in blocks:
            block.signal = number
        for block in blocks:
            if block.on_signal:
                block.on_signal()

    _blocks.append(stop)
    try:
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup
                before[number] = signal.getsignal(number)
                signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python
        _blocks.remove(stop)


@contextlib.contextmanager
def stoppable(runs_dir: Path) -> Iterator[Stop]:
    """`listening`, of a sweep: a signal stops its workers, too, including those not started yet."""
    own = marker(runs_dir, os.getpid())

    def mark() -> None:
        with contextlib.suppress(OSError):  # a disk that is full: workers see the signal, or the end of their parent
            own.touch()

    def unmark() -> None:
        with contextlib.suppress(OSError):
            own.unlink()

    unmark()  # left by a killed process that had the same number
    _markers.append(own)
    try:
        with listening(on_signal=mark) as stop:
            yield stop
    finally:
        _markers.remove(own)
        unmark()


def start_outliving(start: Callable[[], object]) -> None:
    """Start a process of Python's own, by this function, that does not hear the end of a terminal.

    Python shields the processes that free shared memory from SIGINT and SIGTERM, not from SIGHUP: those that are ended
    and started again complain of all that they did not see.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # which a process inherits
    try:
        start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@functools.cache  # once is enough
def listen(signals: tuple[int, ...] = SIGNALS) -> None:
    """Listen for as long as this process lives: for a process that exists only to train its runs."""
    _for_good.enter_context(listening(signals))


def signal_number() -> int | None:
    """The signal that asked this thread to stop; None if there was none."""
    return next((block.signal for block in _blocks if block.thread == threading.get_ident() and block.signal), None)


def exit_code() -> int | None:
    """The exit code of a process that a signal has stopped; None if there was no signal."""
    return None if (number := signal_number()) is None else 128 + number


def stop_requested(runs_dir: Path) -> bool:
    """Whether to stop: a signal asked this thread or the sweep that this process works for, or the sweep has died."""
    sweep = multiprocessing.parent_process()  # None in a command's own process, whose parent is a shell
    stop_file = _stop_file or (marker(runs_dir, sweep.pid) if sweep and sweep.pid else None)
    return signal_number() is not None or orphaned() or (stop_file is not None and stop_file.exists())


def orphaned() -> bool:
    """Whether this is a worker whose parent process has died."""
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid


def obey(stop_file: Path) -> None:
    """From now on let this file's existence ask this process to stop; its sweep creates it."""
    global _stop_file
    _stop_file = stop_file


def marker(runs_dir: Path, process: int) -> Path:
    """The file by which a sweep tells its workers to stop, including those it has yet to start."""
    return Path(runs_dir) / f".stop-{os.uname().nodename}-{process}"  # other hosts may see the same folder
