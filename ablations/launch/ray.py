"""A run as a Ray task, on any host of the cluster."""

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
    """Raise UserError if no cluster answers at this address, or else RAY_ADDRESS; Ray would try for minutes."""
    address = address or os.environ.get("RAY_ADDRESS") or ""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if not port.isdigit():
        return  # Ray itself finds the cluster
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start one with ray start --head, or "
            "leave RAY_ADDRESS out to use only this machine"
        ) from error


@dataclass(frozen=True)
class Task:
    """The function that Ray runs, with what it must know of the command.

    command: its arguments. folder: the folder in which it was typed. stop_file: the file that asks its runs to stop.
    groups: the configurations that share a process, as `launcher.task` takes them.
    """

    command: list[str]
    folder: Path
    stop_file: Path
    groups: dict[RunFolder, list[Config]]

    def __call__(self, composed: DictConfig) -> list[UserError | None]:
        """Train the runs of a group, or go on with them. Returns what `entry.run` returns.

        If Ray, not the command, stops the process, it ends with an error, so that Ray starts the task again.
        """
        sys.argv[1:] = self.command  # for the record
        if not self.folder.is_dir():
            raise UserError(
                f"{os.uname().nodename}: there is no folder {self.folder}; all hosts must see it under this name"
            )
        os.chdir(self.folder)
        interrupt.obey(self.stop_file)
        configs = entry.group_of(self.groups, parse(composed))
        errors = entry.run(configs, quiet=True, patience_seconds=worker.PATIENCE_SECONDS)
        if any(isinstance(error, interrupt.Interrupted) for error in errors) and not self.stop_file.exists():
            os._exit(1)
        return errors
