"""Composing many configurations that differ only in values: the groups are composed once in a process.

Hydra takes 50 ms or more for a configuration, mostly to find and merge the files of its groups; values come last.
"""

import copy
import os

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ablations.config import user_file

_composed: dict[tuple, DictConfig] = {}
_parsed: dict[str, Override] = {}


class Loader(ConfigLoaderImpl):
    """Hydra's loader, with the same configurations and the same errors, but those of files.

    defined: what the groups depend on besides files and schemas; if it changes, they are composed again.
    """

    def __init__(self, config_search_path, defined: tuple = ()):
        super().__init__(config_search_path)
        self.defined = (str(config_search_path), *defined)
        self._options: dict[tuple, list[str]] = {}

    def load_configuration(self, config_name, overrides: list[str], run_mode: RunMode, *options, **more) -> DictConfig:
        compose = self._compose
        try:
            parsed = [self._parse(override) for override in overrides]
        except Exception:  # the parser's; Hydra itself reports everything that is wrong
            return compose(config_name, overrides, run_mode, *options, **more)
        values = [override for override in parsed if self._is_value(override)]
        groups = [text for text, override in zip(overrides, parsed, strict=True) if override not in values]
        key = (config_name, run_mode, tuple(groups), self.defined)
        if key not in _composed:
            _composed[key] = compose(config_name, groups, run_mode, *options, **more)
        composed = copy.deepcopy(_composed[key])
        composed.hydra.runtime.cwd = os.getcwd()
        if not values:
            return composed
        try:
            self._apply_overrides_to_config(values, composed)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException() from error
        task = [override for override in parsed if not override.is_hydra_override()]
        composed.hydra.overrides.task = [override.input_line for override in task]
        form = composed.hydra.job.config.override_dirname
        composed.hydra.job.override_dirname = get_overrides_dirname(
            overrides=task, kv_sep=form.kv_sep, item_sep=form.item_sep, exclude_keys=form.exclude_keys
        )
        return composed

    def _compose(self, config_name, overrides: list[str], *options, **more) -> DictConfig:
        """As Hydra's. Raises UserError for a file that is not YAML, or whose list of defaults is none."""
        try:
            return super().load_configuration(config_name, overrides, *options, **more)
        except (yaml.YAMLError, ValueError) as error:
            if isinstance(error, OmegaConfBaseException):
                raise
            raise user_file.unreadable(error, overrides) from error

    def get_group_options(self, group_name: str, *options, **more) -> list[str]:
        """The choices of a group; none for a setting, whose name alone has dots. Hydra looks through all files each time."""
        if "." in group_name:
            return []
        key = (group_name, *options, repr(more))
        if key not in self._options:
            self._options[key] = super().get_group_options(group_name, *options, **more)
        return self._options[key]

    @staticmethod
    def _parse(override: str) -> Override:
        if override not in _parsed:
            [_parsed[override]] = OverridesParser.create().parse_overrides([override])
        return _parsed[override]

    def _is_value(self, override: Override) -> bool:
        plain = str(override.input_line).startswith(override.key_or_group) and override.package is None
        special = override.is_hydra_override() or override.is_sweep_override()
        return plain and not special and not self.repository.group_exists(override.key_or_group)
