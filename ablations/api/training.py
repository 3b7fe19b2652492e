"""Training from Python: the run that the command would make, in the same folder, under the same lock."""

import signal
import time

from ablations.api.configuration import settings_of
from ablations.api.runs import Run
from ablations.config import compose
from ablations.config import logger as loggers
from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.data import catalogue
from ablations.launch import launcher, packing, run, worker
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import called_as
from ablations.system import interrupt, lock

SECONDS_BETWEEN_LOOKS = 0.5


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a notebook's interrupt, has stopped a run after its step; the step is kept, and `train` goes on from it.

    A KeyboardInterrupt, so that it ends a loop over runs too, also one that passes over an `Exception`, and the cells
    after this one are not run.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: IPython asks an exception for this."""
        return [f"Interrupted: {self}"]


def train(config: Config, *, quiet: bool = False) -> Run:
    """Train a configuration and return its run; one that is done is returned as it is, unless config.force.

    The folder, config.runs_dir/STUDY/ROW/seed=K, has what `ablations train` leaves there, to the same bits, and one
    process at a time works on it: where another one does, this waits for it. quiet: no progress is shown.

    Ctrl-C, in a notebook the kernel's interrupt, stops the run after its step and keeps that step: `Interrupted`. The
    same call goes on from it. A second Ctrl-C does not wait for the step. SIGTERM ends the process once the step is kept.

    JAX may be imported before. On a CPU it must not yet compute with another number of threads than config.threads,
    which other last bits come from; that refuses the call, with what to do.

    Raises UserError where the configuration cannot be trained or the folder holds a run of another one; Interrupted.

    >>> from dataclasses import replace
    >>> short = replace(config, recipe=replace(config.recipe, total_steps=4, evaluate_every=2))
    >>> run = ab.train(short, quiet=True)
    >>> run.record["steps"], [line["step"] for line in run.metrics]
    (4, [2, 4])
    >>> ab.train(short).record == run.record  # done: not trained again
    True
    """
    settings = settings_of(config)
    job = Job(config, tuple(settings))
    # The row of a run that belongs to no study is its settings.
    shown = [word for word in settings if config.study != "single" or not word.startswith("row=")]
    call = f"ablations.train({' '.join(shown)})"
    with called_as(call), interrupt.listening(on_second=signal.default_int_handler) as stop:
        error = None if run.record_of(job) else _finish(job, quiet=quiet)
    if stop.signal == signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)  # what it asked for
    if isinstance(error, interrupt.Interrupted):
        raise Interrupted(f"{str(error).removesuffix(interrupt.GO_ON)}train(...) of the same configuration goes on")
    if error:
        raise error
    return Run.at(RunFolder.of(config))


def _finish(job: Job, *, quiet: bool) -> Exception | None:
    """Train what is to be trained; what kept it from its end, None where nothing did."""
    catalogue.prepare(job.config.data)
    loggers.check(job.config.logger)
    run.check_writable([job])
    with compose.hydra() as context:
        master, way = launcher.chosen_launcher(context, [job], [])
        [job] = packing.settle([job], *way)
        while True:
            errors = launcher.start(launcher.launcher(context, master, [[job]], quiet=quiet), [[job]])
            error = errors[0][1] if errors else None
            if not isinstance(error, worker.Busy):
                return error
            print(f"{error}: waiting for it")
            while lock.holder(RunFolder.of(job.config).path):
                if interrupt.signal_number() is not None:
                    return interrupt.Interrupted(f"{error}; nothing was trained here; {interrupt.GO_ON}")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            if run.record_of(job):
                return None
