"""Hydra's launchers: which one a command uses, and the function that it calls for each job."""

import math
import multiprocessing
import os
import sys
import warnings
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig

from ablations.config.compose import compose, parse
from ablations.config.jobs import Job
from ablations.config.overrides import is_hydras
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import entry, packing, ray
from ablations.launch.slurm import task as slurm
from ablations.runs.folder import RunFolder
from ablations.system import interrupt


def chosen_launcher(
    context: GlobalHydra, waiting: list[Job], overrides: list[str], *, measure: bool = True
) -> tuple[DictConfig, tuple[str, int]]:
    """Hydra's own configuration, with the launcher that the command chose; and the packing with its runs at a time.

    measure: whether a calibration may be run to choose them.
    """
    hydra_overrides = [override for override in overrides if is_hydras(override)]
    together = waiting[0].config.distributed.name != "none"
    if (len(waiting) == 1 or together) and not hydra_overrides and is_joblib(compose(context, [])):
        hydra_overrides = ["hydra/launcher=basic"]
    if together:  # each process would write .hydra; the first one's record says all that it does
        hydra_overrides.append("hydra.output_subdir=null")
    master = compose(context, hydra_overrides)
    configs = [job.config for job in waiting]
    master.runs_dir = configs[0].runs_dir  # of them all; a launcher writes there, too
    if not is_joblib(master):
        # Other launchers run elsewhere, and what is fast there cannot be measured here.
        one_by_one = configs[0].packing in ("auto", "processes")
        return master, ("single", 1) if one_by_one else packing.choose(configs)
    if together:
        master.hydra.launcher.n_jobs = 1
    n_jobs, slots = master.hydra.launcher.n_jobs, packing.slots(configs[0])
    # Runs are spread over the devices first; only those that must share them are packed.
    sharing = configs[: math.ceil(len(configs) / slots)]
    processes = math.ceil(n_jobs / slots) if n_jobs > 0 else None
    mode, runs = packing.choose(sharing, processes=processes, measure=measure)
    if n_jobs < 1:
        master.hydra.launcher.n_jobs = min(len(configs), slots * (runs if mode == "processes" else 1))
    return master, (mode, runs)


def callbacks(master: DictConfig) -> Callbacks:
    """Those of hydra.callbacks. Raises UserError if one cannot be made."""
    try:
        return Callbacks(master)
    except HydraException as error:
        raise UserError(f"hydra.callbacks: {str(error).splitlines()[0]}") from error


def is_joblib(master: DictConfig) -> bool:
    return "joblib" in master.hydra.launcher._target_


def is_basic(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".BasicLauncher")


def is_ray(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".RayLauncher")


def is_slurm(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".SlurmLauncher")


def launcher(context: GlobalHydra, master: DictConfig, groups: list[list[Job]], *, quiet: bool = False) -> Launcher:
    """The launcher that was chosen, to be called with the first job of each group.

    quiet: runs in this process show nothing.
    """
    # Groups of one job are left out: a launcher sends these with each single job.
    by_folder = {RunFolder.of(group[0].config): [job.config for job in group] for group in groups if len(group) > 1}
    if is_slurm(master):
        task_function = partial(slurm.task, sys.argv[1:], by_folder)
    elif is_ray(master):
        ray.check(master.hydra.launcher.ray.init.get("address"))
        stop = interrupt.marker(Path(groups[0][0].config.runs_dir), os.getpid()).absolute()
        task_function = ray.Task(sys.argv[1:], Path.cwd(), stop, by_folder)
    else:
        task_function = partial(task, by_folder, quiet or is_joblib(master))
    return Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=callbacks(master)),
        task_function=task_function,
        config=master,
    )


def start(launcher: Launcher, groups: list[list[Job]]) -> list[tuple[Job, Exception]]:
    """Run the jobs. Returns those that have no result, each with the reason."""
    with warnings.catch_warnings():
        # joblib replaces a worker that has grown by more than 300 MB, as every worker that trains does.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        if "joblib" in type(launcher).__module__:
            from joblib.externals.loky.backend import resource_tracker

            interrupt.start_outliving(resource_tracker.ensure_running)
        try:
            returns = launcher.launch([list(group[0].overrides) for group in groups], initial_job_idx=0)
        except ConnectionError as error:  # Ray's
            raise UserError(f"hydra/launcher: {error}") from error
        except BrokenProcessPool as error:  # joblib's, too
            if interrupt.exit_code() is not None:  # the signal killed workers that did not listen yet
                return []
            raise UserError(
                "a process of the sweep was killed, perhaps because it ran out of memory; what was finished is kept. "
                "Type the same command to go on, with hydra.launcher.n_jobs=1 for one run at a time"
            ) from error
    errors = []
    for group, outcome in zip(groups, returns, strict=True):
        # The property return_value would print an error before raising it; `run` prints a job's error itself.
        value = outcome._return_value
        results = value if outcome.status == JobStatus.COMPLETED else [value] * len(group)
        errors += [(job, error) for job, error in zip(group, results, strict=True) if error]
    return errors


def task(groups: dict[RunFolder, list[Config]], quiet: bool, composed: DictConfig) -> list[UserError | None]:
    """Train this configuration and those that share its process, in the process that the launcher chose.

    groups: the configurations of each group, by the folder of its first job.
    quiet: whether the launching process shows the progress of runs, so that they need not.
    """
    if multiprocessing.parent_process():  # a worker of joblib, which a signal may also reach between two jobs
        interrupt.listen()
    errors = entry.run(entry.group_of(groups, parse(composed)), quiet=quiet)
    if (
        interrupt.orphaned()
    ):  # a worker of joblib would wait for ever for somebody to take the result, and keep its memory
        os._exit(1)
    return errors
