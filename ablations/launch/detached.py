"""A command that goes on by itself: the same one, in a process of its own that outlives the terminal."""

import os
import subprocess
import sys
from datetime import datetime

from ablations.config.jobs import Job
from ablations.runs import submitted
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command
from ablations.runs.submitted import Submission
from ablations.system import lock

OPTION = "--detach"


def start(jobs: list[Job]) -> int:
    """Start it for these jobs; its output, and the lock that says that it lives, are a file beside their rows."""
    of_study, now = RunFolder.of(jobs[0].config).study_folder, datetime.now().astimezone()
    path = of_study / f"detached-{now:%Y-%m-%d-%H%M%S}-{os.getpid()}.log"
    with open(path, "ab") as log:
        lock.give(log)
        process = subprocess.Popen(
            [sys.executable, "-m", "ablations", *(a for a in sys.argv[1:] if a != OPTION)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    names = {RunFolder.of(job.config).name: "" for job in jobs}
    host, time = os.uname().nodename, now.isoformat(timespec="seconds")
    with submitted.locked(of_study):
        submitted.add(of_study, Submission("process", time, host, command(), str(path.absolute()), names))
    process.returncode = 0  # it is not ours to wait for
    print(f"{len(jobs)} run{'s' * (len(jobs) > 1)} in process {process.pid} of {host}, which goes on by itself")
    print(
        f"  its output: {path}; see how far they are: {submitted.status_command(of_study)}; stop them: kill {process.pid}"
    )
    return 0
