"""Copy a run to Weights & Biases or TensorBoard while it trains, in a process of its own.

`metrics.jsonl` and `record.json` stay the source of truth. The process reads them, and nothing that happens in it, not even
a hang, can stop training or change its result. Its standard input is one line of JSON that says what to copy, and ends
when training has ended for any reason; "done" before the end says that the run is finished. Its standard output is
`where ADDRESS` and `failed REASON`.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ablations.config.logger import is_on
from ablations.config.run import Config
from ablations.runs.folder import RunFolder
from ablations.runs.lines import metrics_so_far
from ablations.system import interrupt
from ablations.system.child import Child, start

SECONDS_BETWEEN_LOOKS = 1.0

# Longer than a working server needs; what it has not received by then stays on disk.
SECONDS_AT_THE_END = 20.0


def failure(folder: Path) -> str | None:
    """Why the run in this folder could not be logged; None if it was, or if it has no logger."""
    with contextlib.suppress(OSError):
        return RunFolder(folder).logger_failure_file.read_text(errors="replace").strip()
    return None


class Mirror:
    """The process that copies a run's evaluations; a context manager.

    say: called with one line that says where the run is and, at most once, with one that says what failed.
    """

    def __init__(self, config: Config, folder: Path, say: Callable[[str], None]):
        self.config, self.folder, self.say = config, folder, say
        self.child: Child | None = None
        self.failed = False

    def __enter__(self):
        return self

    def start(self) -> None:
        """Start it, once `metrics.jsonl` holds all of this run's evaluations, also those before a restart."""
        with contextlib.suppress(OSError):
            RunFolder(self.folder).logger_failure_file.unlink(missing_ok=True)
        if not is_on(self.config.logger):
            return
        run = {name: getattr(self.config, name) for name in ("study", "row", "seed", "force")}
        run |= {"logger": asdict(self.config.logger), "config": self.config.resolved(), "folder": str(self.folder)}
        try:  # a session of its own: Ctrl-C reaches only us, and it sees the end of its input
            self.child = start("ablations.loggers.mirror", start_new_session=True, stderr=subprocess.DEVNULL)
            self.child.stdin.write(json.dumps(run) + "\n")
            self.child.stdin.flush()
        except OSError as error:
            self._fail(f"its process cannot be started: {error.strerror}")
        if self.child:
            self.listener = threading.Thread(target=self._listen, args=[self.child.stdout], daemon=True)
            self.listener.start()

    def _listen(self, stdout: IO[str]):
        with stdout as lines:
            for line in lines:
                kind, _, text = line.strip().partition(" ")
                if kind == "failed":
                    self._fail(text)
                else:
                    self.say(f"{self.config.logger.name}: {text}")

    def _fail(self, reason: str):
        if self.failed:
            return
        self.failed = True
        line = f"logger={self.config.logger.name} failed, training goes on: {reason}"
        self.say(line)
        with contextlib.suppress(OSError):
            RunFolder(self.folder).logger_failure_file.write_text(line + "\n")

    def __exit__(self, kind, *_):
        if self.child is None:
            return
        process, stdin = self.child.process, self.child.stdin
        with contextlib.suppress(OSError):  # the process has died
            stdin.write("" if kind else "done")
        with contextlib.suppress(OSError):
            stdin.close()
        try:
            code = process.wait(SECONDS_AT_THE_END)
        except subprocess.TimeoutExpired:
            process.kill()
            self._fail(f"no answer within {SECONDS_AT_THE_END:g} seconds of the end")
            code = process.wait()
        self.listener.join(1)
        if code:
            self._fail(f"its process ended with code {code}")


def main() -> None:
    # Neither library may write over the progress bar or keep our pipe open after we have ended.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    for number in interrupt.SIGNALS:  # sent to all processes of a job; our input says when to end
        signal.signal(number, signal.SIG_IGN)

    def tell(kind: str, text: str) -> None:
        print(kind, " ".join(text.split())[:500], file=out, flush=True)

    run = json.loads(sys.stdin.readline())
    try:
        if run["logger"]["name"] == "wandb":
            from ablations.loggers.wandb import WandbRun as Target
        else:
            from ablations.loggers.tensorboard import EventFiles as Target
        copy(run, Target(run, tell))
    except Exception as error:  # whatever the library raises about a server, a disk, a version
        tell("failed", str(error) or type(error).__name__)


def copy(run: dict, to) -> None:
    """Log every evaluation once, as soon as it is written, until standard input ends."""
    folder, step, ended = RunFolder(Path(run["folder"])), 0, False
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], SECONDS_BETWEEN_LOOKS)[0])
        for metrics in metrics_so_far(folder.path):
            if metrics["step"] > step:
                step = metrics["step"]
                to.log(metrics)
    to.finish(folder.record() if sys.stdin.read() == "done" else None)


if __name__ == "__main__":
    main()
