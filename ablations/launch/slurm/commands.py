"""SLURM's commands: submit runs as arrays of jobs, and ask for their state in the queue or how they ended.

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
ANSWER_SECONDS = 60  # a busy controller may take this long

# What squeue says if all jobs it is asked about ended some minutes ago; its exit code is 1 for any fault.
FORGOTTEN = "Invalid job id"
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")  # a job in any other state that squeue shows is waiting


@dataclass(frozen=True)
class Queued:
    """A job in the queue: its state and, if it waits, SLURM's reason."""

    state: str
    reason: str

    @property
    def runs(self) -> bool:
        return self.state in RUNNING


def queue(jobs: Iterable[str]) -> dict[str, Queued] | None:
    """Which of these jobs have not ended; a task of an array is named 123_4. None if SLURM does not answer."""
    arrays = _arrays(jobs)
    lines = ask("squeue", "--noheader", "--array", f"--jobs={arrays}", "--format=%i|%T|%r") if arrays else []
    return None if lines is None else {job: Queued(state, reason) for job, state, reason in lines}


def ended(jobs: list[str]) -> dict[str, str]:
    """How jobs ended, such as FAILED, TIMEOUT, CANCELLED by 1000; empty on a cluster without accounting."""
    arrays = f"--jobs={_arrays(jobs)}"
    lines = ask("sacct", "--noheader", "--allocations", "--parsable2", "--format=JobID,State", arrays)
    return {job: state for job, state in lines or () if job in jobs}


def why(folder: RunFolder, state: str) -> str:
    """Why a run has left the queue without a record."""
    return folder.failure() or f"left the queue without a record ({state or 'SLURM keeps no account of why'})"


def _arrays(jobs: Iterable[str]) -> str:
    return ",".join(sorted({job.partition("_")[0] for job in jobs}))


def ask(*command: str) -> list[list[str]] | None:
    """The lines that a command of SLURM prints, each in its fields; None if it fails or does not answer."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    if answer.returncode:
        return [] if FORGOTTEN in answer.stderr else None
    return [line.split("|", 2) for line in answer.stdout.splitlines() if line]


def check() -> None:
    """Raise UserError if no job can be submitted from this machine."""
    if not shutil.which("sbatch") or not shutil.which("srun"):
        raise UserError(
            "hydra/launcher: there is no sbatch on this machine; type the command on one that takes jobs, a login node"
        )


def submit(launcher, overrides: list[list[str]]) -> Iterator[list[str]]:
    """Submit a job for each list of overrides; yields the job ids of each array in turn.

    launcher: hydra-submitit-launcher's SlurmLauncher, whose own `launch` would wait until all jobs have ended.
    Raises UserError with SLURM's own words if it refuses.
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
            calls = [(words, "hydra.sweep.dir", number, f"job_id_for_{number}", state) for number, words in numbered]
            yield [job.job_id for job in executor.map_array(launcher, *zip(*calls, strict=True))]
    except (RuntimeError, ValueError, subprocess.SubprocessError) as error:
        raise UserError(f"SLURM does not accept the jobs: {str(error).strip()}") from error


def _max_array_size() -> int:
    for line in ask("scontrol", "show", "config") or ():
        if match := re.fullmatch(r"MaxArraySize\s*=\s*(\d+)", line[0]):
            return max(int(match[1]), 1)
    return MAX_ARRAY_SIZE
