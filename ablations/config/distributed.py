"""Whether a run is one of several processes, and how they find each other; the schema of `conf/distributed/`.

`launch/hosts.py` has how they work together. Nothing here imports JAX.
"""

import os
from dataclasses import dataclass
from typing import Any

from ablations.errors import UserError
from ablations.system import machine


@dataclass
class Distributed:
    """A single process. None of these settings decides a result, so none is part of a run's name or record.

    start_seconds: within these, all processes must have started.
    lost_seconds: a process that is silent for longer counts as lost, and the others end.
    """

    name: str = "none"
    start_seconds: int = 300
    lost_seconds: int = 30

    def __post_init__(self):
        if self.name != (own := type(self).__dataclass_fields__["name"].default):
            raise ValueError(f"distributed.name={self.name}: it is {own}; choose it with distributed={self.name}")
        for name in ("start_seconds", "lost_seconds"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"distributed.{name}={value}: must be at least 1")

    def check(self) -> None:
        """Raise UserError if this process cannot be one of several."""

    def arguments(self) -> dict:
        """The arguments of `jax.distributed.initialize`: where the processes are."""
        return {}


@dataclass
class Auto(Distributed):
    """Found by JAX: Cloud TPUs, Open MPI, Kubernetes, SLURM."""

    name: str = "auto"


@dataclass
class Slurm(Distributed):
    """From srun's variables SLURM_...; one process for each task."""

    name: str = "slurm"

    def check(self) -> None:
        if "SLURM_PROCID" not in os.environ:
            raise UserError("distributed=slurm: this is not a task started by srun; see ablations train --help all")

    def arguments(self) -> dict:
        settings: dict[str, Any] = {"cluster_detection_method": "slurm"}
        if self.local_devices is not None:
            settings["local_device_ids"] = self.local_devices
        return settings

    @property
    def local_devices(self) -> list[int] | None:
        """Which of the GPUs that a task sees it uses; None if it sees none.

        A task alone on its host uses all. Tasks that see the same GPUs share them evenly. A task to which SLURM binds
        GPUs, as with --gpus-per-task, uses those. JAX itself would use one GPU in each task.
        """
        gpus, tasks = len(machine.gpus()), _tasks_here(os.environ)
        if not gpus or tasks is None:
            return None
        per_task, task = gpus // tasks, int(os.environ["SLURM_LOCALID"])
        bound = "SLURM_GPUS_PER_TASK" in os.environ or "SLURM_TRES_PER_TASK" in os.environ
        return list(range(gpus) if bound or not per_task else range(task * per_task, (task + 1) * per_task))


def _tasks_here(environment) -> int | None:
    """The number of the job step's tasks on this host; None outside of one. 2(x3),1 means 2, 2, 2 and 1 tasks."""
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
    """From these settings.

    coordinator: HOST:PORT, where process 0 listens and the others reach it.
    processes: their number; process: the number of this one, 0 ... processes - 1.
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
                f"distributed.coordinator={self.coordinator}: say where process 0 listens: "
                "distributed.coordinator=HOST:PORT"
            )
        if self.processes < 1:
            raise ValueError(f"distributed.processes={self.processes}: say how many there are, at least 1")
        if not 0 <= self.process < self.processes:
            raise ValueError(f"distributed.process={self.process}: say which one this is, 0 to {self.processes - 1}")

    def arguments(self) -> dict:
        settings = {
            "coordinator_address": self.coordinator,
            "num_processes": self.processes,
            "process_id": self.process,
        }
        return settings | {"cluster_detection_method": "deactivate"}


DISTRIBUTED = {"none": Distributed, "auto": Auto, "slurm": Slurm, "manual": Manual}
