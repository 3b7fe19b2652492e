"""SLURM: runs as arrays of jobs, what of them stands in its queue, and a run that is stopped there and goes on.

submitit writes the jobs' files, starts the process in a job and asks for a requeue; see its docs/checkpointing.md.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ablations.errors import UserError
from ablations.runs.folder import RunFolder

MAX_ARRAY_SIZE = 1001  # SLURM's own default; a task's index must be smaller

ANSWER_SECONDS = 60  # a busy controller is given this long

# squeue of jobs that ended some minutes ago, where it is asked of no other; its exit code is 1 whatever is wrong.
FORGOTTEN = "Invalid job id"

RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")  # the other states that squeue shows wait


@dataclass(frozen=True)
class Queued:
    """A job in the queue: its state and, if it waits, SLURM's reason."""

    state: str
    reason: str

    @property
    def runs(self) -> bool:
        return self.state in RUNNING


def queue(jobs: Iterable[str]) -> dict[str, Queued] | None:
    """Those of these jobs that are not over, a task of an array as 123_4; None where SLURM does not answer."""
    arrays = _arrays(jobs)
    lines = ask("squeue", "--noheader", "--array", f"--jobs={arrays}", "--format=%i|%T|%r") if arrays else []
    return None if lines is None else {job: Queued(state, reason) for job, state, reason in lines}


def ended(jobs: list[str]) -> dict[str, str]:
    """How jobs ended that are over, as FAILED, TIMEOUT, CANCELLED by 1000; empty on a cluster that keeps no account."""
    asked = f"--jobs={_arrays(jobs)}"
    lines = ask("sacct", "--noheader", "--allocations", "--parsable2", "--format=JobID,State", asked)
    return {job: state for job, state in lines or () if job in jobs}


def why(folder: RunFolder, state: str) -> str:
    """Why a run has left the queue without a record."""
    left = f"left the queue without a record ({state or 'SLURM keeps no account of why'})"
    return folder.failure() or left


def _arrays(jobs: Iterable[str]) -> str:
    return ",".join(sorted({job.partition("_")[0] for job in jobs}))


def ask(*command: str) -> list[list[str]] | None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    if answer.returncode:
        return [] if FORGOTTEN in answer.stderr else None
    return [line.split("|", 2) for line in answer.stdout.splitlines() if line]


def check() -> None:
    """Raises UserError where no job can be submitted from this machine."""
    if not shutil.which("sbatch") or not shutil.which("srun"):
        raise UserError(
            "hydra/launcher: there is no sbatch on this machine; type the command where SLURM takes jobs, on a login node"
        )


def submit(launcher, overrides: list[list[str]]) -> Iterator[list[str]]:
    """Submit a job for each list of overrides; yields the ids of one array after the other.

    launcher: hydra-submitit-launcher's SlurmLauncher, which would itself wait until all have ended.
    Raises UserError with SLURM's own words where it refuses.
    """
    import submitit
    from hydra.core.singleton import Singleton

    parameters = dict(launcher.params)
    executor = submitit.AutoExecutor(
        folder=parameters.pop("submitit_folder"),
        cluster="slurm",
        slurm_max_num_timeout=parameters.pop("max_num_timeout"),
    )
    shared = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name")
    shared += ("stderr_to_stdout",)
    at_most, state = _max_array_size(), Singleton.get_state()
    try:
        executor.update_parameters(**{k if k in shared else f"slurm_{k}": v for k, v in parameters.items()})
        for first in range(0, len(overrides), at_most):
            numbered = list(enumerate(overrides[first : first + at_most], first))
            calls = [(of, "hydra.sweep.dir", number, f"job_id_for_{number}", state) for number, of in numbered]
            yield [job.job_id for job in executor.map_array(launcher, *zip(*calls, strict=True))]
    except (RuntimeError, ValueError, subprocess.SubprocessError) as error:
        raise UserError(f"SLURM does not take the jobs: {str(error).strip()}") from error


def _max_array_size() -> int:
    for line in ask("scontrol", "show", "config") or ():
        if found := re.fullmatch(r"MaxArraySize\s*=\s*(\d+)", line[0]):
            return max(int(found[1]), 1)
    return MAX_ARRAY_SIZE
