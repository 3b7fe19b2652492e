"""Detached commands: the same command again, in a process that outlives the terminal."""

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from ablations.config.jobs import Job
from ablations.runs import submitted
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command
from ablations.runs.submitted import Submission
from ablations.system import lock

OPTION = "--detach"


def start(jobs: list[Job]) -> int:
    """Start a process for these jobs. Its log lies beside their rows, and stays locked while the process lives.

    Raises UserError or OSError if it cannot be noted in `submitted.json`; then no process goes on.
    """
    study_folder, now = RunFolder.of(jobs[0].config).study_folder, datetime.now().astimezone()
    path = study_folder / f"detached-{now:%Y-%m-%d-%H%M%S}-{os.getpid()}.log"
    names = {RunFolder.of(job.config).name: "" for job in jobs}
    host, time = os.uname().nodename, now.isoformat(timespec="seconds")
    with submitted.locked(study_folder):
        submitted.read(study_folder)  # a damaged one is refused before anything is started
        process = _process(path)
        try:
            submitted.add(study_folder, Submission("process", time, host, command(), str(path.absolute()), names))
        except BaseException:  # nobody would know of the process
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    process.returncode = 0  # do not wait for it
    print(f"{len(jobs)} run{'s' * (len(jobs) > 1)} in process {process.pid} on {host}, which goes on by itself")
    print(f"  output: {path}; progress: {submitted.status_command(study_folder)}; to stop: kill {process.pid}")
    return 0


def _process(path: Path) -> subprocess.Popen[bytes]:
    """This command without the option, in a session of its own."""
    with open(path, "ab") as log:
        lock.give(log)
        return subprocess.Popen(
            [sys.executable, "-m", "ablations", *(argument for argument in sys.argv[1:] if argument != OPTION)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
