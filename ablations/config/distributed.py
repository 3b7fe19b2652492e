"""Whether a run is one of several processes, and how they find each other; the schema of `conf/distributed/`.

How they work together is in `hosts.py`. Nothing here imports JAX.
"""

import os
from dataclasses import dataclass
from typing import Any

from ablations.errors import UserError
from ablations.system import machine


@dataclass
class Distributed:
    """One process. None of these settings decides a result, so none is part of a run's name or record.

    start_seconds: within which all processes must have come.
    lost_seconds: after which a process that has said nothing is taken for lost, and the others end.
    """

    name: str = "none"
    start_seconds: int = 300
    lost_seconds: int = 30

    def __post_init__(self):
        if self.name != (own := type(self).__dataclass_fields__["name"].default):
            raise ValueError(f"distributed.name={self.name}: it is {own}; choose with distributed={self.name}")
        for name in ("start_seconds", "lost_seconds"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"distributed.{name}={value}: must be at least 1")

    def check(self) -> None:
        """Raise UserError where this process cannot be one of several."""

    def arguments(self) -> dict:
        """What `jax.distributed.initialize` is told of where the processes are."""
        return {}


@dataclass
class Auto(Distributed):
    """As JAX finds out: Cloud TPUs, Open MPI, Kubernetes, SLURM."""

    name: str = "auto"


@dataclass
class Slurm(Distributed):
    """As srun says in the variables SLURM_...; a process for each of its tasks."""

    name: str = "slurm"

    def check(self) -> None:
        if "SLURM_PROCID" not in os.environ:
            raise UserError("distributed=slurm: this is no task of srun; see ablations train --help")

    def arguments(self) -> dict:
        here: dict[str, Any] = {"cluster_detection_method": "slurm"}
        if self.local_devices is not None:
            here["local_device_ids"] = self.local_devices
        return here

    @property
    def local_devices(self) -> list[int] | None:
        """Which of the GPUs that a task sees are its own, None where it sees none.

        A task alone on its host has all, tasks that all see the same ones share them evenly, and what SLURM binds to
        a task, as with --gpus-per-task, it has. JAX itself would take one a task.
        """
        there, tasks = len(machine.gpus()), _tasks_here(os.environ)
        if not there or tasks is None:
            return None
        each, task = there // tasks, int(os.environ["SLURM_LOCALID"])
        bound = "SLURM_GPUS_PER_TASK" in os.environ or "SLURM_TRES_PER_TASK" in os.environ
        return list(range(there) if bound or not each else range(task * each, (task + 1) * each))


def _tasks_here(environment) -> int | None:
    """How many tasks of the job step run on this host, None outside of one: 2(x3),1 stands for 2, 2, 2 and 1."""
    try:
        counts = []
        for part in environment["SLURM_STEP_TASKS_PER_NODE"].split(","):
            count, _, times = part.rstrip(")").partition("(x")
            counts += [int(count)] * int(times or 1)
        return counts[int(environment["SLURM_NODEID"])]
    except (KeyError, ValueError, IndexError):
        return None


@dataclass
class Manual(Distributed):
    """As the settings say.

    coordinator: HOST:PORT, at which process 0 listens and all others reach it.
    processes: their number; process: which of them this one is, 0 ... processes - 1.
    """

    name: str = "manual"
    coordinator: str = ""
    processes: int = 0
    process: int = -1

    def __post_init__(self):
        super().__post_init__()
        host, colon, port = self.coordinator.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(
                f"distributed.coordinator={self.coordinator}: say where process 0 listens, as "
                "distributed.coordinator=HOST:PORT"
            )
        if self.processes < 1:
            raise ValueError(f"distributed.processes={self.processes}: say how many there are, at least 1")
        if not 0 <= self.process < self.processes:
            raise ValueError(f"distributed.process={self.process}: say which one this is, 0 to {self.processes - 1}")

    def arguments(self) -> dict:
        where = {"coordinator_address": self.coordinator, "num_processes": self.processes, "process_id": self.process}
        return where | {"cluster_detection_method": "deactivate"}


DISTRIBUTED = {"none": Distributed, "auto": Auto, "slurm": Slurm, "manual": Manual}
