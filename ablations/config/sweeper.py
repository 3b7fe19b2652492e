"""Which of Hydra's sweepers makes the runs of a command, and what a user's files add to the command's values.

Hydra's own lists all combinations, as `jobs.plan` does; those of plugins search: `launch/search.py`.
"""

from importlib.util import find_spec

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from ablations.config import overrides
from ablations.config.compose import check_launcher, compose
from ablations.errors import UserError

# What to install for a sweeper; the module of a plugin has its name.
PLUGINS = {"optuna": "'ablations[optuna]'", "nevergrad": "hydra-nevergrad-sweeper", "ax": "hydra-ax-sweeper"}


def read(context: GlobalHydra, words: list[str]) -> list[Override]:
    """The overrides of a command, parsed. Raises UserError if one cannot be read or meant, or needs an extra."""
    check_launcher(words)
    for choice in (word.removeprefix("hydra/sweeper=") for word in words if word.startswith("hydra/sweeper=")):
        if choice in PLUGINS and find_spec(f"hydra_plugins.hydra_{choice}_sweeper") is None:
            raise UserError(f"hydra/sweeper={choice} needs a plugin: pip install {PLUGINS[choice]}")
    if wrong := next((word for word in words if word.lstrip("+").startswith("hydra.sweeper.params")), None):
        raise UserError(
            f"{wrong}: params are for files; in a command give each value by itself, as shortcut.bias=-6,-7 or, with a "
            "sweeper that searches, 'shortcut.bias=interval(-10,0)'"
        )
    return overrides.read(context, words)


def chosen(context: GlobalHydra, parsed: list[Override]) -> DictConfig:
    """hydra.sweeper, as the command and the user's files have it."""
    words = [
        str(override.input_line)
        for override in parsed
        if not override.is_sweep_override() and (override.is_hydra_override() or is_group(context, override))
    ]
    return compose(context, words).hydra.sweeper


def is_basic(sweeper: DictConfig) -> bool:
    return sweeper._target_.endswith(".BasicSweeper")


def with_params(context: GlobalHydra, parsed: list[Override]) -> list[Override]:
    """The overrides, and those of hydra.sweeper.params for what they leave open.

    Raises UserError if the sweeper is not Hydra's own: nobody knows its runs before they are trained.
    """
    sweeper = chosen(context, parsed)
    if not is_basic(sweeper):
        raise UserError(
            f"hydra/sweeper ({sweeper._target_.rpartition('.')[2]}): the runs of a search are not known before they are trained; leave it out, "
            "or search with ablations train"
        )
    given = {override.key_or_group for override in parsed}
    params = [f"{key}={value}" for key, value in (sweeper.params or {}).items() if key not in given]
    return [*parsed, *read(context, params)]


def is_group(context: GlobalHydra, override: Override) -> bool:
    """Whether an override makes a choice in a group of configuration files."""
    return bool(context.config_loader().get_group_options(override.key_or_group))
