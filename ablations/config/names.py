"""The names of runs' folders: a row, and the settings that make a run differ from it."""

import hashlib
import os
from collections.abc import Iterator

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablations.config import searchpath
from ablations.config.hydra_loader import Loader
from ablations.config.run import Config
from ablations.setting import decides

LONGEST_NAME = 99  # bytes, of a run's folder; a file name holds 255
LONGEST_BEFORE = 120  # characters of the settings, before a folder's name was shorter

_answers: dict[tuple, bool] = {}  # to `_changes`, in this process


def cut(text: str, longest: int) -> str:
    """A text, or the beginning of a longer one with a digest of the whole."""
    return text if len(text) <= longest else f"{text[:longest]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def named(context: GlobalHydra, default: DictConfig, cells: list) -> Iterator[tuple[str | None, list[str], list[str]]]:
    """For each cell its row, the settings that its name has besides, and its overrides."""
    names = {}
    for row, row_settings, command_settings in cells:
        extra = {key: value for key, value in command_settings.items() if row_settings.get(key) != value}
        key = (*extra.items(), *row_settings) if extra.keys() & row_settings else tuple(extra.items())
        if key not in names:
            names[key] = _name(context, default, extra, row_settings)
        yield row, names[key], [f"{key}={value}" for key, value in (row_settings | command_settings).items()]


def _file() -> list[str]:
    """The user's own configuration in place of the project's, as part of a run's name."""
    name = searchpath.primary()
    return [] if name == searchpath.OURS else [f"config={name}".replace("/", "_")]


def folder_name(row: str | None, settings: list[str], study_folder: str) -> str:
    """The name of a run's folder: its row and, whole, as many settings as there is room for.

    A folder of the name that an older version gave it is kept.
    """
    settings = [*_file(), *settings]
    digest = _digest(",".join(settings))
    before = ",".join(filter(None, [row, cut(",".join(settings), LONGEST_BEFORE)])) or "default"
    name = ",".join(filter(None, [row, *settings])) or "default"
    if not settings or len(name.encode()) <= LONGEST_NAME or os.path.isdir(os.path.join(study_folder, before)):
        return before
    kept = [row] if row else []
    for setting in settings:
        if len(",".join([*kept, setting, digest]).encode()) <= LONGEST_NAME:
            kept.append(setting)
    return ",".join([*kept, digest])


def _name(
    context: GlobalHydra, default: DictConfig, command_settings: dict[str, str], row_settings: dict[str, str]
) -> list[str]:
    """The settings of a command that change the defaults, or what a row defines, as parts of the name of a run."""
    parts, model = [], (row_settings | command_settings).get("model")
    for key, value in command_settings.items():
        if not decides(Config, key.lstrip("+~")):
            continue
        if key in row_settings or _changes(context, default, model, key, value):
            parts.append(f"{key.lstrip('+')}={value}".translate(str.maketrans("/", "_", "'\" ")))
    return parts


def _changes(context: GlobalHydra, default: DictConfig, model: str | None, key: str, value: str) -> bool:
    """Whether a setting changes the defaults, or what a network chooses in their place, as tutorial44 its order."""
    loader = context.config_loader()
    assert isinstance(loader, Loader)  # in a context that `hydra` makes
    question = (searchpath.primary(), loader.defined, model, key, value)
    if question not in _answers:
        _answers[question] = _compare(loader, default, model, key, value)
    return _answers[question]


def _compare(loader: Loader, default: DictConfig, model: str | None, key: str, value: str) -> bool:
    group, _, setting = key.rpartition(".")
    if isinstance(default.get(group), DictConfig) and setting not in default[group]:
        return True  # a setting that exists only with another choice, such as shortcut.bias
    own, given = [str(key) for key in default], f"{key}={value}"

    def composed(*settings: str) -> DictConfig:
        return OmegaConf.masked_copy(loader.load_own(searchpath.primary(), [*settings], RunMode.MULTIRUN), own)

    try:
        if composed(given) != default:
            return True
        chosen = f"model={model}"
        elsewhere = model is not None and key.partition(".")[0] != "model"
        return elsewhere and composed(chosen, given) != composed(chosen)
    except (HydraException, OmegaConfBaseException):
        return True
