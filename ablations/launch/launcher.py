"""Hydra's launchers: which one a command takes, and the function that it calls for each job."""

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
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig

from ablations.config.compose import compose, parse
from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch import entry, packing, ray
from ablations.launch.slurm import task as slurm
from ablations.runs.folder import RunFolder
from ablations.system import interrupt


def chosen_launcher(
    context: GlobalHydra, waiting: list[Job], overrides: list[str], *, measure: bool = True
) -> tuple[DictConfig, tuple[str, int]]:
    """Hydra's own configuration, with the launcher that the command chose; how runs are packed and how many at a time.

    measure: whether a calibration may find that out.
    """
    hydra_overrides = [o for o in overrides if o.startswith("hydra")]
    together = waiting[0].config.distributed.name != "none"
    if (len(waiting) == 1 or together) and not hydra_overrides:
        hydra_overrides = ["hydra/launcher=basic"]
    if together:  # each process would write .hydra, and the first one's record says it all
        hydra_overrides.append("hydra.output_subdir=null")
    master = compose(context, hydra_overrides)
    configs = [job.config for job in waiting]
    if not is_joblib(master):
        # Elsewhere runs; what is fast there cannot be seen from here.
        here = configs[0].packing in ("auto", "processes")
        return master, ("single", 1) if here else packing.choose(configs)
    if together:
        master.hydra.launcher.n_jobs = 1
    given, places = master.hydra.launcher.n_jobs, packing.places(configs[0])
    # How those are packed that share a device: each has one of its own as long as there are enough.
    alike = configs[: math.ceil(len(configs) / places)]
    each = math.ceil(given / places) if given > 0 else None
    how, runs = packing.choose(alike, processes=each, measure=measure)
    if given < 1:
        master.hydra.launcher.n_jobs = min(len(configs), places * (runs if how == "processes" else 1))
    return master, (how, runs)


def is_joblib(master: DictConfig) -> bool:
    return "joblib" in master.hydra.launcher._target_


def is_basic(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".BasicLauncher")


def is_ray(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".RayLauncher")


def is_slurm(master: DictConfig) -> bool:
    return master.hydra.launcher._target_.endswith(".SlurmLauncher")


def launcher(context: GlobalHydra, master: DictConfig, groups: list[list[Job]], *, quiet: bool = False) -> Launcher:
    """The launcher that was chosen; it sees the first job of each group. quiet: here, a run shows nothing of itself."""
    # Of groups of one the task knows all: a launcher sends this along with every single job.
    with_first = {RunFolder.of(group[0].config): [job.config for job in group] for group in groups if len(group) > 1}
    if is_slurm(master):
        of_group = partial(slurm.task, sys.argv[1:], with_first)
    elif is_ray(master):
        ray.check(master.hydra.launcher.ray.init.get("address"))
        stop = interrupt.marker(Path(groups[0][0].config.runs_dir), os.getpid()).absolute()
        of_group = ray.Task(sys.argv[1:], Path.cwd(), stop, with_first)
    else:
        of_group = partial(task, with_first, quiet or is_joblib(master))
    return Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=Callbacks()),
        task_function=of_group,
        config=master,
    )


def start(launcher: Launcher, groups: list[list[Job]]) -> list[tuple[Job, Exception]]:
    """The jobs that have no result, each with its reason."""
    with warnings.catch_warnings():
        # joblib renews a worker that has grown by more than 300 MB, which any that has trained has.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            returns = launcher.launch([list(group[0].overrides) for group in groups], initial_job_idx=0)
        except ConnectionError as error:  # Ray's
            raise UserError(f"hydra/launcher: {error}") from error
        except BrokenProcessPool as error:  # joblib's, too
            if interrupt.exit_code() is not None:  # workers that had yet to listen died of the same signal
                return []
            raise UserError(
                "a process of the sweep was killed, perhaps for want of memory; what was finished is kept. Type the "
                "same command to go on, with hydra.launcher.n_jobs=1 for one run at a time"
            ) from error
    errors = []
    for group, returned in zip(groups, returns, strict=True):
        # The property return_value prints before it raises; a job's error is ours to print.
        value = returned._return_value
        of_group = value if returned.status == JobStatus.COMPLETED else [value] * len(group)
        errors += [(job, error) for job, error in zip(group, of_group, strict=True) if error]
    return errors


def task(with_first: dict[RunFolder, list[Config]], shown: bool, composed: DictConfig) -> list[UserError | None]:
    """The job of this configuration and those that share its device, in the process that the launcher chose.

    with_first: by the folder of each group's first job, the configurations of the group.
    shown: whether the launching process shows how far runs are.
    """
    if multiprocessing.parent_process():  # joblib's worker, which a signal may reach between two jobs too
        interrupt.listen()
    errors = entry.run(entry.sharing(with_first, parse(composed)), quiet=shown)
    if interrupt.orphaned():  # joblib's worker would wait for ever for somebody who takes this, and hold its memory
        os._exit(1)
    return errors
