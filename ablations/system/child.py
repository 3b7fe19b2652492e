"""A child process that is spoken to in lines of text: what it reads and what it says are pipes."""

import subprocess
import sys
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Child:
    """stdin: what it reads; stdout: what it says."""

    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]


def start(module: str, **options) -> Child:
    """`python -m module`, with the options of Popen; raises OSError where no process can be started."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-m", module], **pipes, **options)
    assert process.stdin is not None and process.stdout is not None, "both are pipes"
    return Child(process, process.stdin, process.stdout)
