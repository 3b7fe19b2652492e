"""Training from Python: the same run as the command's, in the same folder, under the same lock."""

import signal

from ablations.api.configuration import settings_of
from ablations.api.runs import Run
from ablations.config import compose
from ablations.config import logger as loggers
from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.data import catalogue
from ablations.launch import done, launcher, packing, run, worker
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import called_as
from ablations.system import interrupt


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a notebook's interrupt, has stopped a run after its current step, from which `train` goes on.

    It is a KeyboardInterrupt, so that it also ends a loop over runs, even one that catches `Exception`, and so that the
    notebook does not run the following cells.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows; IPython calls this."""
        return [f"Interrupted: {self}"]


def train(config: Config, *, quiet: bool = False) -> Run:
    """Train a configuration and return its run; a run that is done is returned as it is, unless config.force:
    then it is replaced once the new one is finished, and stays whole until then.

    The folder, config.runs_dir/STUDY/ROW/seed=K, gets what `ablations train` writes there, to the same bits. One
    process at a time works on it; this call waits for another one. quiet: show no progress.

    Ctrl-C, in a notebook the kernel's interrupt, stops the run after its current step, which is kept, and raises
    `Interrupted`; the same call goes on from there. A second Ctrl-C does not wait for the step. SIGTERM and SIGHUP
    end the process once the step is kept.

    JAX may be imported before. But on a CPU it must not have started with a number of threads other than
    config.threads, which would change the last bits; the call is refused then, with what to do.

    Raises UserError if the configuration cannot be trained, or the folder holds a run of another configuration.

    >>> from dataclasses import replace
    >>> short = replace(config, recipe=replace(config.recipe, total_steps=20, evaluate_every=10))
    >>> run = ab.train(short, quiet=True)
    >>> run.record["steps"], [line["step"] for line in run.metrics]
    (20, [10, 20])
    >>> ab.train(short).record == run.record  # done: not trained again
    True
    """
    settings = settings_of(config)
    job = Job(config, tuple(settings))
    # A run that belongs to no study is named by its settings.
    words = [word for word in settings if config.study != "single" or not word.startswith("row=")]
    call = f"ablations.train({' '.join(words)})"
    with called_as(call), interrupt.listening(on_second=signal.default_int_handler) as stop:
        error = None if done.record_of(config) else _finish(job, quiet=quiet)
    if stop.signal and stop.signal != signal.SIGINT:
        signal.raise_signal(stop.signal)  # what it asked for
    if isinstance(error, interrupt.Interrupted):
        raise Interrupted(f"{str(error).removesuffix(interrupt.GO_ON)}train(...) of the same configuration goes on")
    if error:
        raise error
    return Run.at(RunFolder.of(config))


def _finish(job: Job, *, quiet: bool) -> Exception | None:
    """Train the job. Returns the reason why it is not finished, None if it is."""
    catalogue.prepare(job.config.data)
    loggers.check(job.config.logger)
    run.check_writable([job])
    with compose.hydra() as context:
        master, packed = launcher.chosen_launcher(context, [job], [])
        [job] = packing.settle([job], *packed)
        before = done.version(job.config)
        while True:
            errors = launcher.start(launcher.launcher(context, master, [[job]], quiet=quiet), [[job]])
            error = errors[0][1] if errors else None
            if not isinstance(error, worker.Busy):
                return error
            if not quiet:
                print(f"{error}: waiting for it")
            if done.wait_for_others(job.config, before):
                return None
            if interrupt.signal_number() is not None:
                return interrupt.Interrupted(f"{error}; nothing was trained here; {interrupt.GO_ON}")
