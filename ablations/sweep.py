"""From overrides to runs: what to run, what is done already, and the launcher that runs the rest.

This and `cli.py` are the only modules that know Hydra. Every run is a job of a sweep: a single run is a
sweep of one, a study a sweep over its rows and seeds.
"""

import hashlib
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from hydra import initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablations import data, entry, interrupt, lock
from ablations import study as studies
from ablations.config import Config, parse, register_schemas
from ablations.errors import UserError
from ablations.model import units_a_stage
from ablations.monitor import Monitor
from ablations.records import read_record

# Where and how a run happens: no part of its name.
PLACES = ("runs_dir", "force", "unroll", "checkpoint_seconds", "study", "row", "seed", "seeds")
PLACES += tuple(f"data.{place}" for place in data.PLACES)
LONGEST_NAME = 120  # a file name holds 255 bytes


@dataclass(frozen=True)
class Job:
    """One run: its checked configuration, the overrides that compose it, and its folder."""

    config: Config
    overrides: tuple[str, ...]
    folder: Path


@contextmanager
def hydra() -> Iterator[GlobalHydra]:
    """Hydra with our groups and schemas."""
    register_schemas()
    with initialize_config_module("ablations.conf", version_base="1.3", job_name="ablations"):
        yield GlobalHydra.instance()


def compose(context: GlobalHydra, overrides: list[str]) -> DictConfig:
    """The composed configuration, Hydra's own part included.

    Raises UserError, one message that names the setting and what is legal.
    """
    try:
        return context.hydra.compose_config("config", overrides, run_mode=RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, context, overrides)) from error


def explain(error: Exception, context: GlobalHydra, overrides: list[str]) -> str:
    """Hydra's message in one line, with what is legal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
    message = lines[0] if lines else repr(error)
    if "Could not find" in message:
        options = [line for line in lines[1:] if ":" not in line and "=" not in line and " " not in line]
        group, _, choice = message.split("'")[-2].rpartition("/")
        message = f"{group}={choice}: unknown; legal are {', '.join(options)}"
        if group == "model" and choice.removeprefix("resnet").isdigit():
            message += f". {_depth_advice(int(choice.removeprefix('resnet')))}"
    elif message.startswith("Could not override"):
        key = message.split("'")[1]
        rest = [override for override in overrides if override.partition("=")[0] != key]
        beside = OmegaConf.select(compose(context, rest), key.rpartition(".")[0]) if "." in key else None
        legal = f"; legal are {', '.join(map(str, beside))}" if isinstance(beside, DictConfig) else ""
        message = f"{key}: there is no such setting{legal}; ablations train --cfg job prints all of them"
    elif message.startswith("Error merging override"):
        message = f"{message.removeprefix('Error merging override ')}: {cause}"
    elif isinstance(error, OverrideParseException):
        message = f"{error.override}: {message}"
    return message


def _depth_advice(depth: int) -> str:
    for branch, like in (("basic", "resnet110"), ("bottleneck", "resnet164")):
        try:
            units_a_stage("cifar", branch, depth)
        except ValueError as error:
            advice = str(error).partition(": ")[2]
        else:
            return f"For {depth} layers: model={like} model.depth={depth}"
        if branch == "basic":
            first = advice
    return f"Other depths: model=resnet110 model.depth=N; {first}"


def plan(context: GlobalHydra, overrides: list[str]) -> list[Job]:
    """The jobs that the overrides of a command ask for, all of them checked.

    Raises UserError on anything that cannot be run, before anything is run.
    """
    try:
        parsed = OverridesParser.create(config_loader=context.config_loader()).parse_overrides(overrides)
    except HydraException as error:
        raise UserError(explain(error, context, overrides)) from error
    own = [o for o in parsed if not o.key_or_group.startswith("hydra")]
    for override in own:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{override.input_line}: give the values one by one, as {override.key_or_group}=1,2,3")
    settings = {o.key_or_group: _values(o) for o in own}
    study = settings.pop("study", [None])[0]
    chosen_rows = settings.pop("row", None)
    seeds = _seeds(settings, studies.load(study).seeds if study else 1)
    if study:
        swept = [key for key, values in settings.items() if len(values) > 1]
        if swept:
            raise UserError(f"{swept[0]}={','.join(settings[swept[0]])}: a study takes one value of each setting")
        cells = _study_cells(studies.load(study), settings, chosen_rows)
        study = studies.load(study).name
    else:
        if chosen_rows:
            raise UserError(f"row={chosen_rows[0]}: rows belong to a study; name one with study=...")
        cells, study = [(None, cell) for cell in _product(settings)], "single"
    hydra_overrides = [o.input_line for o in parsed if o.key_or_group.startswith("hydra")]
    default = compose(context, [])
    names = {}
    jobs = []
    loader = context.config_loader()
    master = compose(context, hydra_overrides)
    for row, cell in cells:
        extra = {key: value for key, value in cell.items() if row is None or key in settings}
        key = tuple(extra.items())
        if key not in names:
            names[key] = _name(context, default, extra)
        name = ",".join(part for part in (row, names[key]) if part) or "default"
        line = [f"{key}={value}" for key, value in cell.items()] + [f"study={study}", f"row='{name}'"]
        try:
            config = parse(loader.load_sweep_config(master, [*line, *hydra_overrides]))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error, context, line)) from error
        for seed in seeds:
            of_seed = replace(config, seed=seed)
            jobs.append(Job(of_seed, (*line, f"seed={seed}"), entry.folder_of(of_seed)))
    return jobs


def _values(override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _seeds(settings: dict, default: int) -> list[int]:
    count, given = settings.pop("seeds", None), settings.pop("seed", None)
    try:
        if count:
            if given or len(count) > 1 or int(count[0]) < 1:
                raise ValueError
            return list(range(int(count[0])))
        seeds = [int(seed) for seed in given] if given else list(range(default))
        if any(seed < 0 for seed in seeds):
            raise ValueError
        return list(dict.fromkeys(seeds))
    except ValueError:
        wrong = f"seeds={','.join(count)}" if count else f"seed={','.join(given)}"
        raise UserError(
            f"{wrong}: give the seeds themselves, as seed=0,1,2, or their number, as seeds=3, not both"
        ) from None


def _product(settings: dict[str, list[str]]) -> list[dict[str, str]]:
    cells = [{}]
    for key, values in settings.items():
        cells = [cell | {key: value} for cell in cells for value in values]
    return cells


def _study_cells(study: studies.Study, settings, chosen) -> list[tuple[str, dict[str, str]]]:
    given = {key: values[0] for key, values in settings.items()}
    rows = {row.name: dict(o.split("=", 1) for o in row.overrides) for row in study.rows}
    for name in chosen or ():
        if name not in rows:
            if "shortcut" not in given and "activation" not in given:
                raise UserError(
                    f"row={name}: study {study.name} has no such row; legal are {', '.join(rows)}. "
                    f"A row of your own: row={name} shortcut=... (or activation=...)"
                )
            rows[name] = {}
    # What the command says of a setting holds for every row, except what makes the row what it is.
    cells = []
    for name, made_of in rows.items():
        if chosen is None or name in chosen:
            clash = [key for key in given if key in made_of and key not in COMMON]
            if clash:
                raise UserError(
                    f"{clash[0]}={given[clash[0]]}: row {name} of study {study.name} is {clash[0]}={made_of[clash[0]]}; "
                    "choose other rows with row=... or leave it out"
                )
            cells.append((name, made_of | given))
    return cells


COMMON = ("model", "activation", "data", "recipe")


def _name(context: GlobalHydra, default: DictConfig, cell: dict[str, str]) -> str:
    """The overrides of a cell that change something, as a folder's name."""
    parts = []
    for key, value in cell.items():
        if key.lstrip("+~") in PLACES:
            continue
        try:
            changed = OmegaConf.masked_copy(compose(context, [f"{key}={value}"]), _own(default))
            if changed == OmegaConf.masked_copy(default, _own(default)):
                continue
        except UserError:
            pass  # a setting that exists only beside another one, as shortcut.bias does
        parts.append(f"{key}={value}".replace("'", "").replace('"', "").replace("/", "_").replace(" ", ""))
    name = ",".join(parts)
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def _own(composed: DictConfig) -> list[str]:
    return [key for key in composed if key != "hydra"]


def run(context: GlobalHydra, jobs: list[Job], overrides: list[str]) -> int:
    """Run what is not done yet. Returns the exit code: 0 where every job has a record in the end."""
    waiting = [job for job in jobs if not _is_done(job)]
    if not waiting:
        return 0
    for of in {repr(job.config.data): job.config.data for job in waiting}.values():
        data.prepare(of)  # here, once: not in every process
    _check_writable(waiting)
    hydra_overrides = [o for o in overrides if o.startswith("hydra")]
    if len(waiting) == 1 and not hydra_overrides:
        hydra_overrides = ["hydra/launcher=basic"]
    master = compose(context, hydra_overrides)
    local = "joblib" in master.hydra.launcher._target_
    if local and master.hydra.launcher.n_jobs < 1:
        master.hydra.launcher.n_jobs = processes(len(waiting), waiting[0].config.threads)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=Callbacks()),
        task_function=task,
        config=master,
    )
    failed = False
    with Monitor(waiting, quiet=not local), _stoppable(Path(waiting[0].config.runs_dir)):
        while waiting:
            errors = _launch(launcher, waiting)
            busy = [job for job, error in errors if isinstance(error, entry.Busy)]
            failed |= len(errors) > len(busy)
            for job, error in errors:
                if not isinstance(error, UserError):
                    raise error
                if str(error) != interrupt.NOT_STARTED and (job not in busy or len(busy) == len(waiting)):
                    print(f"ablations: {error}", file=sys.stderr)
            waiting = _wait_for_others(busy)
    return interrupt.exit_code() or (2 if failed else 0)


def _is_done(job: Job) -> bool:
    record = read_record(job.folder)
    if record is None or job.config.force:
        return False
    if record["config"] != job.config.resolved():
        where = _first_difference(record["config"], job.config.resolved())
        raise UserError(
            f"{job.folder} holds a run of another configuration ({where}); choose another runs_dir=..., or "
            "force=true to replace it"
        )
    print(f"{job.folder}: done already, test error {record['test_error_percent']:.2f} %; force=true runs it anew")
    return True


def _launch(launcher, jobs: list[Job]) -> list[tuple[Job, Exception]]:
    """The jobs that have no result, each with its reason."""
    with warnings.catch_warnings():
        # joblib renews a worker that has grown by more than 300 MB, which any that has trained has.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            returns = launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=0)
        except Exception as error:
            if "Terminated" not in type(error).__name__ and "BrokenProcess" not in type(error).__name__:
                raise
            raise UserError(
                "a process of the sweep was killed, perhaps for want of memory; what was finished is kept. Type the "
                "same command to go on, with hydra.launcher.n_jobs=1 for one run at a time"
            ) from error
    # The property return_value prints before it raises; a job's error is ours to print.
    return [(job, r._return_value) for job, r in zip(jobs, returns, strict=True) if r.status != JobStatus.COMPLETED]


def _wait_for_others(busy: list[Job]) -> list[Job]:
    """Wait until other processes have ended their work on these jobs; what then is not done is ours."""
    for job in busy:
        while lock.holder(job.folder) and interrupt.exit_code() is None:
            time.sleep(0.5)
    if interrupt.exit_code() is not None:
        return []
    return [job for job in busy if read_record(job.folder) is None]


@contextmanager
def _stoppable(runs_dir: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM reach all runs, also those that have not started; each keeps what it has."""
    marker = interrupt.marker(runs_dir, os.getpid())
    interrupt.listen(after=marker.touch)
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def processes(jobs: int, threads: int) -> int:
    """How many runs at a time: one a core on a CPU, one on an accelerator."""
    accelerator = any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin", "libtpu"))
    if accelerator and os.environ.get("JAX_PLATFORMS", "") != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(jobs, cores // threads))


def _check_writable(jobs: list[Job]) -> None:
    for job in jobs:
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{job.folder} cannot be made: {error.strerror}; choose another runs_dir=...") from error
        if not os.access(job.folder, os.W_OK):
            raise UserError(f"{job.folder} cannot be written to; choose another runs_dir=...")


def _first_difference(one, other, at="") -> str:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return f"{at}: {one} there, {other} here"
    for key in [*one, *(k for k in other if k not in one)]:
        if one.get(key) != other.get(key):
            return _first_difference(one.get(key), other.get(key), f"{at}.{key}" if at else key)
    return "no difference"


def task(composed: DictConfig) -> None:
    """One job, in the process that the launcher chose."""
    entry.run_one(parse(composed), quiet=multiprocessing.parent_process() is not None)
