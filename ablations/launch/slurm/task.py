"""The function that runs inside a SLURM job."""

import signal
import sys
import traceback

from omegaconf import DictConfig

from ablations.config.compose import parse
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import entry, worker
from ablations.launch.slurm.commands import ask
from ablations.runs.folder import RunFolder
from ablations.system import interrupt
from ablations.terminal.output import tell


def task(command: list[str], groups: dict[RunFolder, list[Config]], composed: DictConfig) -> None:
    """Train one run, or a group of them (`launcher.task`). A run that is stopped keeps its step, and its job is then
    queued again, or cancelled by SLURM.

    SLURM sends USR2 some time before the time limit, and TERM if the job is preempted, requeued or cancelled. After
    TERM it decides itself what becomes of the job, unless the job still counts as running: then TERM was a warning.
    """
    import submitit

    sys.argv[1:] = command  # for the record
    job = submitit.JobEnvironment()
    warning = getattr(signal, f"SIG{job.USR_SIG}")
    ask_for_requeue = signal.getsignal(warning)  # submitit's, which also ends the process
    assert callable(ask_for_requeue)  # submitit sets it before it calls this function
    interrupt.listen((signal.SIGINT, signal.SIGTERM, warning))
    try:
        errors = entry.run(entry.group_of(groups, parse(composed)), patience_seconds=worker.PATIENCE_SECONDS)
    except UserError as error:
        errors = [error]
    except Exception:
        traceback.print_exc()  # Hydra would not report it, and the job would end as if it had succeeded
        sys.exit(1)
    errors = [error for error in errors if error]
    for error in errors:
        tell(f"ablations: {error}")
    if any(isinstance(error, interrupt.Interrupted) for error in errors):
        if interrupt.signal_number() == warning or _counts_as_running(job.job_id):
            try:
                ask_for_requeue(interrupt.signal_number() or warning, None)  # None: the signal was sent to another task
            except Exception as error:  # it was queued too often, or SLURM refuses
                tell(f"ablations: the job is not queued again: {error}")
        sys.exit(interrupt.exit_code() or 2)
    if errors:
        sys.exit(2)


def _counts_as_running(job: str) -> bool:
    states = ask("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    return states == [["RUNNING"]]
