"""Configurations: from the words of a command to a checked `Config`, and back."""

import json
from dataclasses import asdict

from ablations.config import compose, jobs
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training import environment

GROUPS = ("shortcut", "activation", "model", "data", "recipe", "logger", "distributed")


def configure(*overrides: str, **settings: object) -> Config:
    """The configuration of one run, checked: the settings of `ablations train`, as text or as names with values.

    A name with a dot, as shortcut.bias, is text or a key of a dictionary; `ablations train --help` lists them all.
    With study=... and row=..., the row of a table. A Config is a dataclass: `dataclasses.replace(config, seed=1)`.

    It also says with how many threads XLA computes on a CPU in this process, config.threads, one unless it is set: part of
    what decides the last bits. XLA reads that when it makes its first array, so configure first; see `train`.

    Raises UserError, one message that says what is legal, on a setting that is unknown, a value that is not legal, and
    on settings that make several runs.

    >>> config = ab.configure("model=resnet20", "model.depth=8", shortcut="exclusive_gating", **{"shortcut.bias": -6})
    >>> config.model.depth, config.shortcut.bias, config.recipe.name
    (8, -6.0, 'digits')
    >>> ab.configure(shortcut="dropout", **{"shortcut.rate": 2})
    Traceback (most recent call last):
    ablations.errors.UserError: shortcut.rate=2.0: a rate is at least 0 and below 1
    """
    words = [*overrides, *(f"{name}={text(value)}" for name, value in settings.items())]
    if wrong := [word for word in words if "=" not in word]:
        raise UserError(
            f"{wrong[0]}: settings are key=value, as configure('model=resnet20') or configure(model='resnet20')"
        )
    with compose.hydra() as context:
        found = jobs.plan(context, words)
    if len(found) != 1:
        named = [f"{job.config.row} seed={job.config.seed}" for job in found[:3]]
        raise UserError(
            f"these settings make {len(found)} runs ({', '.join(named)}{', ...' if len(found) > 3 else ''}): a "
            "configuration is one of them; of a study name row=... and seed=..."
        )
    environment.fix_threads(found[0].config)
    return found[0].config


def text(value: object) -> str:
    """A value as Hydra reads it: names as they are, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # -6.0 is -6, in the name of a run's folder too
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def settings_of(config: Config) -> list[str]:
    """The settings, key=value, that make a configuration: its choices, then the values in which it differs from them."""
    chosen = [f"{group}={getattr(config, group).name}" for group in GROUPS]
    with compose.hydra() as context:
        default = compose.parse(compose.compose(context, []))
        usual = compose.parse(compose.compose(context, chosen))
    mine = _flat(asdict(config))
    values = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for (key, value), other in zip(mine.items(), _flat(asdict(usual)).values(), strict=True)
        if value != other
    ]
    return [
        f"{g}={getattr(config, g).name}" for g in GROUPS if getattr(config, g).name != getattr(default, g).name
    ] + values


def _flat(values: dict, at: str = "") -> dict[str, object]:
    """Nested dictionaries by their dotted keys."""
    flat = {}
    for key, value in values.items():
        flat |= _flat(value, f"{at}{key}.") if isinstance(value, dict) else {at + key: value}
    return flat
