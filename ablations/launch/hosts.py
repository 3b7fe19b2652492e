"""A run of several processes, perhaps on several hosts: how they start, stop together, and end when one is lost.

Each process is started by its own command, which starts a second process for the run and watches it. If a process of
the run is lost, `jax.distributed` ends the others from within, either at once or after `distributed.lost_seconds` of
silence, and with pages of traces. The command turns those into one message, and the command of the first process also
writes the pages to failure.txt. Started again, with the same number of processes or another, the run goes on from its
last checkpoint.
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
    """Take part in a run as one of its processes. Returns what ended the run, None if it was finished.

    Raises UserError if this process cannot take part.
    """
    config.distributed.check()
    context = multiprocessing.get_context("spawn")
    _keep_tracker_quiet()
    with interrupt.listening(), tempfile.TemporaryDirectory(prefix="ablations-") as folder:
        log = Path(folder) / "log.txt"
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(config, quiet, patience_seconds, log, sender))
        process.start()
        sender.close()
        try:
            stopping = False
            while process.is_alive():
                if not stopping and (stopping := interrupt.stop_requested(Path(config.runs_dir))):
                    process.terminate()
                process.join(SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
            process.join()
        messages = _messages(receiver)
        if messages and isinstance(messages[-1], Ended):
            return messages[-1].error
        if process.exitcode == -signal.SIGTERM and interrupt.stop_requested(
            Path(config.runs_dir)
        ):  # before it had met the others
            return interrupt.NotStarted()
        output = log.read_text(errors="replace") if log.exists() else ""
        assert process.exitcode is not None  # it was joined
        reason = _reason(config, process.exitcode, output, has_met=bool(messages))
        if messages and isinstance(messages[0], Met) and messages[0].is_first:
            RunFolder.of(config).note_failure(reason, output)
        return UserError(reason)


@dataclass(frozen=True)
class Met:
    """Sent once all processes have come. is_first: whether the sender is the one that writes to the run's folder."""

    is_first: bool


@dataclass(frozen=True)
class Ended:
    """Sent at the end. error: None if the run was finished."""

    error: UserError | None


def _messages(pipe: Connection) -> list[Met | Ended]:
    """Everything that the second process, which has ended, has sent."""
    messages = []
    with contextlib.suppress(EOFError):
        while True:
            messages.append(pipe.recv())
    return messages


def _reason(config: Config, code: int, output: str, *, has_met: bool) -> str:
    """Why the second process died. output: what XLA has written."""
    if code == -signal.SIGKILL:
        return f"the process of this run was killed, perhaps because it ran out of memory; {GO_ON}"
    if code == -signal.SIGABRT and not has_met:  # JAX gives up if some have not come in time
        seconds = config.distributed.start_seconds
        return (
            f"distributed={config.distributed.name}: not all processes came within {seconds} s; start all of them again"
        )
    if peers.was_ended(code, output):
        return ANOTHER_LOST
    lines = [line for line in output.splitlines() if line.strip()]
    return f"the process of this run died ({lines[-1] if lines else f'exit code {code}'}); {GO_ON}"


def _work(config: Config, quiet: bool, patience_seconds: float, log: Path, connection) -> None:
    """The second process."""
    os.setsid()  # the terminal's signals reach only the command, which then asks this process to stop
    _keep_apart(log)
    try:
        error = _start(config.distributed)  # before `listen`: a signal that is only noted would not end this call
        interrupt.listen()
        if error is None:
            import jax

            connection.send(Met(is_first=jax.process_index() == 0))
            quiet = quiet or jax.process_index() > 0
            [error] = worker.run_here([config], quiet=quiet, patience_seconds=patience_seconds)
            if error is None or isinstance(error, interrupt.Interrupted):
                jax.distributed.shutdown()  # waits for the other processes, which end in the same way
    except UserError as refusal:
        error = refusal
    except BaseException as exception:
        error = _unexpected(exception)
    connection.send(Ended(error))
    if error is not None and not isinstance(error, interrupt.Interrupted):
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(0)  # JAX's own exit would wait for the other processes, which do not know of the error


def _unexpected(error: BaseException) -> UserError:
    """The message for an error that is not the user's mistake; prints its traceback if this process caused it."""
    if peers.was_lost(error):
        return UserError(ANOTHER_LOST)
    traceback.print_exception(error)
    return UserError(f"the process of this run died ({peers.summary(error)}); {GO_ON}")


def _keep_tracker_quiet() -> None:
    """Start multiprocessing's resource tracker without its warnings about what a lost process has left behind."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _keep_apart(log: Path) -> None:
    """Send what XLA writes to a file, and what Python prints to where it went before."""
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
    with open(log, "w") as file:
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
    except ValueError as error:  # neither a setting nor a cluster says where the processes are
        return UserError(f"distributed={distributed.name}: JAX finds no other processes: {error}")
    return None
