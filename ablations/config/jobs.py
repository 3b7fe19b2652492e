"""From the overrides of a command to jobs: what to run and under which names, all of it checked.

Every run is a job of a sweep: a single run is a sweep of one job, a study is a sweep over its rows and seeds.
"""

import hashlib
import os
from dataclasses import dataclass, replace

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablations.config import study as studies
from ablations.config.compose import check_launcher, compose, explain, parse
from ablations.config.run import LAST_SEED, Config
from ablations.errors import UserError
from ablations.setting import decides

LONGEST_NAME = 99  # bytes, of a run's folder; a file name holds 255
LONGEST_BEFORE = 120  # characters of the settings, before a folder's name was shorter


@dataclass(frozen=True)
class Job:
    """One run: its checked configuration, and the overrides that compose it."""

    config: Config
    overrides: tuple[str, ...]


def plan(context: GlobalHydra, overrides: list[str]) -> list[Job]:
    """The jobs that the overrides of a command ask for, all of them checked.

    Raises UserError for anything that cannot be run, before anything is run.
    """
    check_launcher(overrides)
    try:
        parsed = OverridesParser.create(config_loader=context.config_loader()).parse_overrides(overrides)
    except HydraException as error:
        raise UserError(explain(error, context, overrides)) from error
    overridden = [o for o in parsed if not o.key_or_group.startswith("hydra")]
    for override in overridden:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{override.input_line}: list the values, as in {override.key_or_group}=1,2,3")
    settings = {o.key_or_group: _values(o) for o in overridden}
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
        cells, study = [(None, {}, cell) for cell in _product(settings)], "single"
    hydra_overrides = [o.input_line for o in parsed if o.input_line and o.key_or_group.startswith("hydra")]
    default = compose(context, [])
    default = OmegaConf.masked_copy(default, _own(default))
    names, changes = {}, {}
    jobs = []
    loader = context.config_loader()
    master = compose(context, hydra_overrides)
    launcher = master.hydra.launcher
    several = launcher.get("nodes", 1) * launcher.get("tasks_per_node", 1) > 1
    # A preset of Hydra's launchers cannot choose in another group.
    hosts = ["distributed=slurm"] if several and "distributed" in default and "distributed" not in settings else []
    for row, row_settings, command_settings in cells:
        extra = {key: value for key, value in command_settings.items() if row_settings.get(key) != value}
        key = (*extra.items(), *row_settings) if extra.keys() & row_settings else tuple(extra.items())
        if key not in names:
            names[key] = _name(context, default, extra, row_settings, changes)
        runs_dir = str(command_settings.get("runs_dir") or default.runs_dir).strip("'\"")
        name = _folder_name(row, names[key], os.path.join(runs_dir, study))
        words = [f"{key}={value}" for key, value in (row_settings | command_settings).items()]
        line = [*words, f"study={study}", f"row='{name}'", *hosts]
        try:
            config = parse(loader.load_sweep_config(master, [*line, *hydra_overrides]))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error, context, line)) from error
        for seed in seeds:
            of_seed = replace(config, seed=seed)
            jobs.append(Job(of_seed, (*line, f"seed={seed}")))
    return jobs


def _values(override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _seeds(settings: dict, default: int) -> list[int]:
    count, seed_values = settings.pop("seeds", None), settings.pop("seed", None)
    try:
        if count:
            if seed_values or len(count) > 1 or int(count[0]) < 1:
                raise ValueError
            return list(range(int(count[0])))
        seeds = [int(seed) for seed in seed_values] if seed_values else list(range(default))
        if not all(0 <= seed <= LAST_SEED for seed in seeds):
            raise ValueError
        return list(dict.fromkeys(seeds))
    except ValueError:
        wrong = f"seeds={','.join(count)}" if count else f"seed={','.join(seed_values)}"
        raise UserError(
            f"{wrong}: give either the seeds, from 0 to 2^63 - 1, as seed=0,1,2, or their number, as seeds=3"
        ) from None


def _product(settings: dict[str, list[str]]) -> list[dict[str, str]]:
    cells = [{}]
    for key, values in settings.items():
        cells = [cell | {key: value} for cell in cells for value in values]
    return cells


def _study_cells(study: studies.Study, settings, chosen) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """For each row its name, the study's settings for it, and the command's."""
    command_settings = {key: values[0] for key, values in settings.items()}
    # A setting in the command holds for every row, but may not change what defines the row.
    common = dict(o.split("=", 1) for o in study.common)
    rows = {row.name: row for row in study.rows}
    cells = []
    for name in chosen or [row.name for row in study.rows_for(command_settings.get("data"))]:
        row = rows.get(name)
        if row is None and "shortcut" not in command_settings and "activation" not in command_settings:
            raise UserError(
                f"row={name}: study {study.name} has no such row; legal are {', '.join(rows)}. "
                f"For a row of your own: row={name} shortcut=... (or activation=...)"
            )
        if row is not None and row.overrides is None:
            reason = (
                f"another test of row {row.tests}" if row.tests else "another paper's method, shown in the table only"
            )
            raise UserError(f"row={name}: cannot be trained: it is {reason}")
        row_settings = row.settings if row else {}
        if clash := [key for key in command_settings if key in row_settings]:
            raise UserError(
                f"{clash[0]}={command_settings[clash[0]]}: row {name} of study {study.name} has "
                f"{clash[0]}={row_settings[clash[0]]}; choose other rows with row=... or leave it out"
            )
        data = {"data": row.data} if row and row.data else {}
        cells.append((name, common | data | row_settings, command_settings))
    return cells


def _folder_name(row: str | None, settings: list[str], study_folder: str) -> str:
    """The name of a run's folder: its row and, whole, as many settings as there is room for.

    A folder of the name that an older version gave it is kept.
    """
    before = ",".join(settings)
    digest = hashlib.sha256(before.encode()).hexdigest()[:8]
    if len(before) > LONGEST_BEFORE:
        before = f"{before[:LONGEST_BEFORE]}-{digest}"
    before = ",".join(filter(None, [row, before])) or "default"
    name = ",".join(filter(None, [row, *settings])) or "default"
    if not settings or len(name.encode()) <= LONGEST_NAME or os.path.isdir(os.path.join(study_folder, before)):
        return before
    kept = [row] if row else []
    for setting in settings:
        if len(",".join([*kept, setting, digest]).encode()) <= LONGEST_NAME:
            kept.append(setting)
    return ",".join([*kept, digest])


def _name(
    context: GlobalHydra,
    default: DictConfig,
    command_settings: dict[str, str],
    row_settings: dict[str, str],
    changes: dict,
) -> list[str]:
    """The settings of a command that change the defaults, or what a row defines, as parts of the name of a run.

    changes: whether a setting changes something, as far as known, by the network, the setting and its value; it is
        filled in.
    """
    parts, model = [], (row_settings | command_settings).get("model")
    for key, value in command_settings.items():
        if not decides(Config, key.lstrip("+~")):
            continue
        if key not in row_settings and (model, key, value) not in changes:
            changes[model, key, value] = _changes(context, default, model, key, value)
        if key in row_settings or changes[model, key, value]:
            parts.append(f"{key}={value}".translate(str.maketrans("/", "_", "'\" ")))
    return parts


def _changes(context: GlobalHydra, default: DictConfig, model: str | None, key: str, value: str) -> bool:
    """Whether a setting changes the defaults, or what a network chooses in their place, as tutorial44 its order."""
    group, _, setting = key.rpartition(".")
    if isinstance(default.get(group), DictConfig) and setting not in default[group]:
        return True  # a setting that exists only with another choice, such as shortcut.bias
    own, given = _own(default), f"{key}={value}"

    def composed(*settings: str) -> DictConfig:
        return OmegaConf.masked_copy(compose(context, [*settings]), own)

    try:
        if composed(given) != default:
            return True
        chosen = f"model={model}"
        elsewhere = model is not None and key.partition(".")[0] != "model"
        return elsewhere and composed(chosen, given) != composed(chosen)
    except UserError:
        return True


def _own(composed: DictConfig) -> list[str]:
    return [str(key) for key in composed if key != "hydra"]
