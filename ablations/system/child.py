"""A child process with which one exchanges lines of text through pipes."""

import subprocess
import sys
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Child:
    """stdin: the pipe that the process reads; stdout: the pipe that it writes."""

    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]


def start(module: str, **options) -> Child:
    """Start `python -m module` with these options of Popen. Raises OSError if no process can be started."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-m", module], **pipes, **options)
    assert process.stdin is not None and process.stdout is not None, "both are pipes"
    return Child(process, process.stdin, process.stdout)
