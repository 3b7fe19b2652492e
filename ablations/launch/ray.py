"""A run as a task of Ray's, on whichever host of its cluster."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from ablations.config.compose import parse
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import entry, worker
from ablations.runs.folder import RunFolder
from ablations.system import interrupt

ANSWER_SECONDS = 10


def check(address: str | None) -> None:
    """Raises UserError where no cluster answers at this address, or else at RAY_ADDRESS: Ray itself tries for minutes."""
    address = address or os.environ.get("RAY_ADDRESS") or ""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if not port.isdigit():
        return  # Ray's own search
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start one with ray start --head, or leave "
            "RAY_ADDRESS out for this machine alone"
        ) from error


@dataclass(frozen=True)
class Task:
    """What the task must know of the command: its words, the folder in which it was typed, the file that stops it, and
    the configurations that share a process (`launch.task`)."""

    command: list[str]
    place: Path
    stop: Path
    with_first: dict[RunFolder, list[Config]]

    def __call__(self, composed: DictConfig) -> list[UserError | None]:
        """Train, or go on. Of each run of the group what `entry.run` says.

        Where Ray stops the process, not the command, it ends with an error, for which Ray starts the task again.
        """
        sys.argv[1:] = self.command  # for the record
        if not self.place.is_dir():
            raise UserError(f"{os.uname().nodename}: there is no {self.place} here; all hosts must see this folder")
        os.chdir(self.place)
        interrupt.obey(self.stop)
        of_group = entry.sharing(self.with_first, parse(composed))
        errors = entry.run(of_group, quiet=True, patience_seconds=worker.PATIENCE_SECONDS)
        if any(isinstance(error, interrupt.Interrupted) for error in errors) and not self.stop.exists():
            os._exit(1)
        return errors
