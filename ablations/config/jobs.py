"""From the overrides of a command to jobs: what to run and under which names, all of it checked.

Every run is a job of a sweep: a single run is a sweep of one job, a study is a sweep over its rows and seeds.
"""

import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablations.config import names, searchpath, sweeper, user_file
from ablations.config import study as studies
from ablations.config.compose import compose, explain, parse
from ablations.config.hydra_loader import Loader
from ablations.config.overrides import check_comma, check_hydras, is_hydras, key_of, texts_of, values_of
from ablations.config.quoting import quoted
from ablations.config.run import LAST_SEED, Config
from ablations.errors import UserError

OF_JOBS = ("study", "row", "seed", "seeds")  # settings that say which jobs there are, not how one is composed
MOST_RUNS = 100_000
LONGEST_FOLDER = 255  # bytes of a name, in nearly every file system


@dataclass(frozen=True)
class Job:
    """One run: its checked configuration, and the overrides that compose it."""

    config: Config
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """What a command asks for, not checked yet: of each row the overrides, and the seeds of all rows.

    master: what is composed without these overrides, for Hydra's own part.
    origins: of each line, for each setting of its row, where that stands.
    """

    master: DictConfig
    lines: list[list[str]]
    origins: list[dict[str, str]]
    seeds: Sequence[int]

    def check_single(self, reason: str) -> None:
        if (count := len(self.lines) * len(self.seeds)) > 1:
            raise UserError(
                f"{reason}, but these settings are {count}; give one value of each, and of a study one row and one seed"
            )


def plan(context: GlobalHydra, overrides: list[str], study: studies.Study | None = None) -> list[Job]:
    """The jobs that the overrides of a command ask for, all of them checked.

    study: in place of the study that the command names.
    Raises UserError for anything that cannot be run, before anything is run.
    """
    asked = _asked(context, overrides, study)
    if asked.master.hydra.mode == RunMode.RUN:
        flag = next((word for word in sys.argv if word in ("--run", "-r")), "hydra.mode=RUN")
        asked.check_single(f"{flag} is for one run")
    if (count := len(asked.lines) * len(asked.seeds)) > MOST_RUNS:
        raise UserError(f"these settings are {count:,} runs; at most {MOST_RUNS:,} are made by one command")
    check_files(context, overrides, asked.lines)
    jobs, loader = [], context.config_loader()
    assert isinstance(loader, Loader)  # in a context that `hydra` makes
    for line, origin in zip(asked.lines, asked.origins, strict=True):
        try:
            config = parse(loader.load_job(asked.master, line))
        except (HydraException, OmegaConfBaseException, UserError) as error:
            message = str(error) if isinstance(error, UserError) else explain(error, context, line)
            key = re.split("[=:]", message)[0]
            blaming = _blaming(key, message, line, _choices(loader, asked.master, line))
            raise UserError(f"{origin.get(key, '')}{blaming}") from error
        jobs += [Job(replace(config, seed=seed), (*line, f"seed={seed}")) for seed in asked.seeds]
    return jobs


def _choices(loader: Loader, master: DictConfig, line: list[str]) -> Mapping:
    """The choice in each group; none if the overrides cannot be composed."""
    with contextlib.suppress(HydraException, OmegaConfBaseException, UserError):
        return loader.load_sweep_config(master, line).hydra.runtime.choices
    return {}


def _blaming(key: str, message: str, line: list[str], choices: Mapping) -> str:
    """The message about a setting, with the user's own configuration file if that has it and the overrides do not."""
    if key in (word.partition("=")[0].lstrip("+") for word in line):
        return message
    if "missing mandatory value" in message:
        return user_file.incomplete(key, choices) or message
    place = user_file.place_of(key, choices)
    return f"{place}: {message}" if place else message


def single_line(context: GlobalHydra, overrides: list[str]) -> list[str]:
    """The overrides of the one run that a command asks for, whose values are not checked.

    Raises UserError if it asks for several.
    """
    asked = _asked(context, overrides)
    asked.check_single("--cfg and --info show one run")
    return [*asked.lines[0], f"seed={asked.seeds[0]}"]


def _asked(context: GlobalHydra, overrides: list[str], study: studies.Study | None = None) -> _Asked:
    parsed = sweeper.with_params(context, sweeper.read(context, overrides))
    default = compose(context, [])
    master = compose(context, [word for word in overrides if is_hydras(word)])
    check_hydras(master.hydra)
    settings = _settings(parsed, default)
    default = OmegaConf.masked_copy(default, [str(key) for key in default if key != "hydra"])
    name = settings.pop("study", [None])[0]
    study = study or (studies.load(name) if name else None)
    chosen_rows = settings.pop("row", None)
    seeds = _seeds(settings, study.seeds if study else 1)
    if study:
        swept = [key for key, values in settings.items() if len(values) > 1]
        if swept:
            raise UserError(f"{swept[0]}={','.join(settings[swept[0]])}: a study takes one value of each setting")
        cells, where = _study_cells(study, settings, chosen_rows), _origins(name, study)
        cells = [(row, _without_plus(context, of_row), of_command) for row, of_row, of_command in cells]
    else:
        if chosen_rows:
            raise UserError(f"row={chosen_rows[0]}: rows belong to a study; name one with study=...")
        cells, where = [(None, {}, cell) for cell in _product(settings)], {}
    launcher = master.hydra.launcher
    several = launcher.get("nodes", 1) * launcher.get("tasks_per_node", 1) > 1
    # A preset of Hydra's launchers cannot choose in another group.
    hosts = ["distributed=slurm"] if several and "distributed" in default and "distributed" not in settings else []
    lines = []
    study_name = study.name if study else "single"
    runs_dir = next((texts_of(o)[0] for o in reversed(parsed) if o.key_or_group == "runs_dir"), default.runs_dir)
    for row, changed, words in names.named(context, default, cells):
        folder = names.folder_name(row, changed, os.path.join(runs_dir, study_name))
        if len(folder.encode()) > LONGEST_FOLDER:
            where_it_is = where.get(row) or f"row={row}: "
            raise UserError(
                f"{where_it_is}the name is too long for a folder; at most {LONGEST_FOLDER - 50} letters are safe"
            )
        lines.append([*words, f"study={quoted(study_name)}", f"row={quoted(folder)}", *hosts])
    origins = [dict.fromkeys(row_settings, where.get(row, "")) for row, row_settings, _ in cells]
    return _Asked(master, lines, origins, seeds)


def check_files(context: GlobalHydra, overrides: list[str], lines: list[list[str]]) -> None:
    """Raise UserError if a user's configuration file says which jobs there are, which only a command can.

    overrides: of the command, which hide what a file says. lines: of each row its overrides.
    """
    given = {override.partition("=")[0] for override in overrides}
    given |= {"seed", "seeds"} if given & {"seed", "seeds"} else set()
    seen = set()
    for line in lines if searchpath.locations else ():
        choices = tuple(word for word in line if "." not in (key := word.partition("=")[0]) and key not in OF_JOBS)
        if choices in seen:
            continue
        seen.add(choices)
        composed = compose(context, [*choices])
        for setting in (setting for setting in fields(Config) if setting.name in OF_JOBS and setting.name not in given):
            if (value := composed[setting.name]) != setting.default:
                file = user_file.place_of(setting.name, composed.hydra.runtime.choices)
                raise UserError(
                    f"{file or 'a configuration file'}: {setting.name}: {value}: a file cannot say which runs there are; remove that line, and type "
                    f"{setting.name}={value} in the command"
                )


def study_of(context: GlobalHydra, overrides: list[str]) -> studies.Study | None:
    """The study that the overrides of a command name; None if they name none."""
    parsed = sweeper.read(context, overrides)
    named = [override for override in parsed if override.key_or_group == "study"]
    if named:
        sweeper.with_params(context, parsed)  # before a search's name is taken for a study's
    return studies.load(texts_of(named[-1])[0]) if named else None


def seeds_of(context: GlobalHydra, overrides: list[str]) -> Sequence[int]:
    """The seeds that the overrides of a command ask for; 0 if they ask for none."""
    return _seeds(_settings(sweeper.read(context, overrides), compose(context, [])), 1)


def _settings(parsed: list[Override], default: DictConfig) -> dict[str, list[str]]:
    """The values of each setting that is not Hydra's own.

    default: the composed defaults, with Hydra's own part.
    """
    settings = {}
    for override in parsed:
        if is_hydras(override.input_line or ""):
            continue
        if override.is_sweep_override() and not override.is_discrete_sweep():
            if override.key_or_group in OF_JOBS:
                raise UserError(
                    f"{override.input_line}: a search is among settings, never among seeds: list them, as seed=0,1,2, and "
                    "each trial is trained with all"
                )
            raise UserError(
                f"{override.input_line}: list the values, as in {override.key_or_group}=1,2,3; to search among all of "
                "them, add a sweeper, as hydra/sweeper=optuna"
            )
        if override.key_or_group not in OF_JOBS:
            check_comma(override)
        values = texts_of(override) if override.key_or_group in OF_JOBS else values_of(override)
        settings[key_of(override, default)] = list(dict.fromkeys(values))  # a value that is typed twice is one run
    return settings


def _without_plus(context: GlobalHydra, settings: dict[str, str]) -> dict[str, str]:
    """The settings of a row without a plus, with which Hydra would add what there is not; a group of the user's has it."""
    is_group = context.config_loader().get_group_options
    return {key if is_group(key.lstrip("+")) else key.lstrip("+"): value for key, value in settings.items()}


def _origins(path: str | None, study: studies.Study) -> dict[str | None, str]:
    """Where each row stands in a user's own file, for messages about its settings."""
    file = path and path.endswith(".yaml")
    return {row.name: f"{path}, line {row.line}, row {row.name}: " for row in study.rows if file}


def _seeds(settings: dict, default: int) -> Sequence[int]:
    count, seed_values = settings.pop("seeds", None), settings.pop("seed", None)
    try:
        if count:
            if seed_values or len(count) > 1 or int(count[0]) < 1:
                raise ValueError
            return range(int(count[0]))
        if not seed_values:
            return range(default)
        seeds = [int(seed) for seed in seed_values]
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
        if row is None and ("/" in name or "," in name or name.startswith(".")):
            raise UserError(
                f"row={name}: a row of your own is a folder, too: choose a name without slash, comma and first dot"
            )
        if row is not None and row.overrides is None:
            reason = (
                f"another test of row {row.tests}" if row.tests else "another paper's method, shown in the table only"
            )
            raise UserError(f"row={name}: cannot be trained: it is {reason}")
        if row is not None and row.best_of:
            raise UserError(
                f"row={name}: it gets the settings of the best of {', '.join(row.best_of[:3])} ...: train those first, "
                f"with the same settings: ablations train study={study.name}"
            )
        row_settings = row.settings if row else {}
        if clash := [key for key in command_settings if key in row_settings]:
            raise UserError(
                f"{clash[0]}={command_settings[clash[0]]}: row {name} of study {study.name} has "
                f"{clash[0]}={row_settings[clash[0]]}; choose other rows with row=... or leave it out"
            )
        data = {"data": row.data} if row and row.data else {}
        cells.append((name, common | data | row_settings, command_settings))
    return cells
