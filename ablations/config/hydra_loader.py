"""Composing many configurations that differ only in values: the groups are composed once in a process.

Hydra takes 50 ms or more for a configuration, mostly to find and merge the files of its groups; values come last.
"""

import contextlib
import copy
import os
import warnings
from collections.abc import Iterator

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ablations.config import user_file

_composed: dict[tuple, DictConfig] = {}
_overrides: dict[str, Override] = {}


class _Repository(ConfigRepository):
    """Where the files are. Each is read once, and Hydra, which changes what it gets, gets a copy."""

    def __init__(self, config_search_path):
        super().__init__(config_search_path)
        self._read: dict[str, ConfigResult | None] = {}

    def __deepcopy__(self, memo: dict) -> "_Repository":
        """Hydra asks for a copy for each composition; with it came all schemas."""
        return copy.copy(self)

    def initialize_sources(self, config_search_path) -> None:
        super().initialize_sources(config_search_path)
        self._read = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._read:
            self._read[config_path] = super().load_config(config_path)
        return copy.deepcopy(self._read[config_path])


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Without Hydra's advice for those who come from Hydra 1.0: without _self_ a file's values count, as they would last."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In '.*': Defaults list is missing `_self_`", UserWarning)
        yield


class Loader(ConfigLoaderImpl):
    """Hydra's loader, with the same configurations and the same errors, but those of files.

    defined: what the groups depend on besides files and schemas; if it changes, they are composed again.
    """

    def __init__(self, config_search_path, defined: tuple = ()):
        super().__init__(config_search_path)
        self.repository = _Repository(config_search_path)
        self.defined = (str(config_search_path), *defined)
        self._options: dict[tuple, list[str]] = {}

    def load_configuration(self, config_name, overrides: list[str], run_mode: RunMode, *options, **more) -> DictConfig:
        if (parsed := self._parsed(overrides)) is None:
            return self._compose(config_name, overrides, run_mode, *options, **more)
        groups, values = self._split(parsed)
        composed = copy.deepcopy(self._compose_groups(config_name, groups, run_mode, *options, **more))
        composed.hydra.runtime.cwd = os.getcwd()
        if not values:
            return composed
        self._apply(values, composed)
        task = [override for override in parsed if not override.is_hydra_override()]
        composed.hydra.overrides.task = [override.input_line for override in task]
        form = composed.hydra.job.config.override_dirname
        composed.hydra.job.override_dirname = get_overrides_dirname(
            overrides=task, kv_sep=form.kv_sep, item_sep=form.item_sep, exclude_keys=form.exclude_keys
        )
        return composed

    def load_job(self, master: DictConfig, line: list[str]) -> DictConfig:
        """What `load_sweep_config` loads, without Hydra's own part."""
        overrides = [*master.hydra.overrides.hydra, *line]
        composed = self.load_own(master.hydra.job.config_name, overrides, RunMode.RUN)
        OmegaConf.copy_cache(master, composed)  # all jobs of a sweep have the same ${now:...}
        return composed

    def load_own(self, config_name, overrides: list[str], run_mode: RunMode) -> DictConfig:
        """What `load_configuration` loads, without Hydra's own part, whose copy takes longer than all else."""
        if (parsed := self._parsed(overrides)) is None:
            return without_hydras(self._compose(config_name, overrides, run_mode))
        groups, values = self._split(parsed)
        whole = self._compose_groups(config_name, groups, run_mode)
        composed = without_hydras(copy.deepcopy(whole, {id(whole.hydra): DictConfig({})}))
        self._apply(values, composed)
        return composed

    def _compose_groups(self, config_name, groups: list[str], run_mode: RunMode, *options, **more) -> DictConfig:
        """What several runs and a single one have in common, but that one may leave nothing open."""
        groups = sorted(groups, key=lambda group: not _overrides[group].is_hydra_override())  # Hydra keeps these apart
        key = (config_name, tuple(groups), self.defined)
        if key not in _composed:
            _composed[key] = self._compose(config_name, groups, RunMode.MULTIRUN, *options, **more)
        is_open = OmegaConf.missing_keys(_composed[key].hydra.runtime.choices)
        if run_mode == RunMode.RUN and (is_open or any(_overrides[group].is_sweep_override() for group in groups)):
            return self._compose(config_name, groups, run_mode, *options, **more)
        return _composed[key]

    def _compose(self, config_name, overrides: list[str], *options, **more) -> DictConfig:
        """As Hydra's. Raises UserError for a file that is not YAML, or whose list of defaults is none."""
        try:
            return super().load_configuration(config_name, overrides, *options, **more)
        except (yaml.YAMLError, ValueError) as error:
            if isinstance(error, OmegaConfBaseException):
                raise
            raise user_file.unreadable(error, overrides) from error

    def compute_defaults_list(self, *arguments, **options):
        with _without_advice():
            return super().compute_defaults_list(*arguments, **options)

    def _load_configuration_impl(self, *arguments, **options):
        with _without_advice():
            return super()._load_configuration_impl(*arguments, **options)

    def get_group_options(self, group_name: str, *options, **more) -> list[str]:
        """The choices of a group; none for a setting, whose name alone has dots. Hydra looks through all files each time."""
        if "." in group_name:
            return []
        key = (group_name, *options, repr(more))
        if key not in self._options:
            self._options[key] = super().get_group_options(group_name, *options, **more)
        return self._options[key]

    @staticmethod
    def _parsed(overrides: list[str]) -> list[Override] | None:
        """None if one cannot be parsed: Hydra itself reports everything that is wrong."""
        try:
            for override in overrides:
                if override not in _overrides:
                    [_overrides[override]] = OverridesParser.create().parse_overrides([override])
        except Exception:  # the parser's
            return None
        return [_overrides[override] for override in overrides]

    def _split(self, parsed: list[Override]) -> tuple[list[str], list[Override]]:
        """The overrides that choose in groups, or change Hydra's own part, and those that are values."""
        values = [override for override in parsed if self._is_value(override)]
        return [str(override.input_line) for override in parsed if override not in values], values

    def _apply(self, values: list[Override], composed: DictConfig) -> None:
        try:
            self._apply_overrides_to_config(values, composed)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException() from error

    def _is_value(self, override: Override) -> bool:
        plain = str(override.input_line).startswith(override.key_or_group) and override.package is None
        special = override.is_hydra_override() or override.is_sweep_override()
        return plain and not special and not self.repository.group_exists(override.key_or_group)


def without_hydras(composed: DictConfig) -> DictConfig:
    """The same, without Hydra's own part."""
    with open_dict(composed):
        composed.pop("hydra", None)
    return composed
