"""A run of several processes, perhaps on several hosts: how they start, stop together, and end when one is lost.

Each process is the command itself, which starts a second one for the run and watches it. Where a process of the run
is lost, `jax.distributed` ends the others from within, at once or when nothing was heard of it for
`distributed.lost_seconds`, and with pages of traces: the command turns that into one message, and the first process's
puts the pages below it in failure.txt. A further start, of as many processes or of others, goes on from the last
checkpoint.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from ablations.config.distributed import Distributed
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import peers, worker
from ablations.launch.peers import ANOTHER_LOST, GO_ON
from ablations.runs.folder import RunFolder
from ablations.system import interrupt

SECONDS_BETWEEN_LOOKS = 0.1


def run(config: Config, *, quiet: bool, patience_seconds: float) -> UserError | None:
    """Be one process of a run: what ended it, None where it was finished.

    Raises UserError where this process cannot be one.
    """
    config.distributed.check()
    context = multiprocessing.get_context("spawn")
    _keep_tracker_quiet()
    with interrupt.listening(), tempfile.TemporaryDirectory(prefix="ablations-") as place:
        words = Path(place) / "words.txt"
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(config, quiet, patience_seconds, words, its))
        process.start()
        its.close()
        try:
            asked = False
            while process.is_alive():
                if not asked and (asked := interrupt.asked(Path(config.runs_dir))):
                    process.terminate()
                process.join(SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
            process.join()
        told = _told(mine)
        if told and isinstance(told[-1], Ended):
            return told[-1].error
        if process.exitcode == -signal.SIGTERM and interrupt.asked(Path(config.runs_dir)):  # while it met the others
            return interrupt.NotStarted()
        said = words.read_text(errors="replace") if words.exists() else ""
        assert process.exitcode is not None  # it was joined
        reason = _reason(config, process.exitcode, said, has_met=bool(told))
        if told and isinstance(told[0], Met) and told[0].is_first:
            RunFolder.of(config).note_failure(reason, said)
        return UserError(reason)


@dataclass(frozen=True)
class Met:
    """What the second process says once all are there. is_first: whether it is the one that writes the run's folder."""

    is_first: bool


@dataclass(frozen=True)
class Ended:
    """What it says at its end. error: None where the run was finished."""

    error: UserError | None


def _told(pipe: Connection) -> list[Met | Ended]:
    """All that the second process, which has ended, has said."""
    told = []
    with contextlib.suppress(EOFError):
        while True:
            told.append(pipe.recv())
    return told


def _reason(config: Config, code: int, said: str, *, has_met: bool) -> str:
    """Why the second process died. said: what XLA has written."""
    if code == -signal.SIGKILL:
        return f"the process of this run was killed, perhaps for want of memory; {GO_ON}"
    if code == -signal.SIGABRT and not has_met:  # JAX gives up when not all have come in time
        seconds = config.distributed.start_seconds
        return f"distributed={config.distributed.name}: not all processes came within {seconds} s; start all of them"
    if peers.was_ended(code, said):
        return ANOTHER_LOST
    lines = [line for line in said.splitlines() if line.strip()]
    return f"the process of this run died ({lines[-1] if lines else f'exit code {code}'}); {GO_ON}"


def _work(config: Config, quiet: bool, patience_seconds: float, words: Path, answer) -> None:
    """The second process."""
    os.setsid()  # signals of the terminal reach the command, which asks this process to stop
    _keep_apart(words)
    try:
        error = _start(config.distributed)  # one call, which a signal that is only noted would not end
        interrupt.listen()
        if error is None:
            import jax

            answer.send(Met(is_first=jax.process_index() == 0))
            quiet = quiet or jax.process_index() > 0
            [error] = worker.run_here([config], quiet=quiet, patience_seconds=patience_seconds)
            if error is None or isinstance(error, interrupt.Interrupted):
                jax.distributed.shutdown()  # waits for the others, who have come to the same end
    except UserError as refused:
        error = refused
    except BaseException as unexpected:
        error = _unexpected(unexpected)
    answer.send(Ended(error))
    if error is not None and not isinstance(error, interrupt.Interrupted):
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(0)  # not through JAX's exit, which would wait for the others, who do not know of the error


def _unexpected(error: BaseException) -> UserError:
    """What the user is told of an error that is none of his; its traceback, too, where it is of this process."""
    if peers.was_lost(error):
        return UserError(ANOTHER_LOST)
    traceback.print_exception(error)
    return UserError(f"the process of this run died ({peers.summary(error)}); {GO_ON}")


def _keep_tracker_quiet() -> None:
    """Start the process that cleans up after others without its warnings of what one that was lost has left."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _keep_apart(words: Path) -> None:
    """What XLA writes goes into a file, what we say to where it went before."""
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
    with open(words, "w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def _start(distributed: Distributed) -> UserError | None:
    """Meet the other processes."""
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            initialization_timeout=distributed.start_seconds,
            heartbeat_timeout_seconds=distributed.lost_seconds,
            **distributed.arguments(),
        )
    except ValueError as error:  # nothing says where the processes are
        return UserError(f"distributed={distributed.name}: JAX finds no other processes: {error}")
    return None
