"""Configurations: from the words of a command to a checked `Config`, and back."""

import json
import os
from dataclasses import asdict

from ablations.config import compose, jobs, quoting
from ablations.config.overrides import SINGLE
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training import environment

GROUPS = ("shortcut", "activation", "model", "data", "recipe", "logger", "distributed")


def configure(*overrides: str, **settings: object) -> Config:
    """The checked configuration of one run, from the settings of `ablations train`, as text or as keywords.

    A name with a dot, such as shortcut.bias, can be text or the key of a dictionary; `ablations train --help all` lists
    the settings. study=... and row=... choose the row of a table. A Config is a dataclass, so
    `dataclasses.replace(config, seed=1)` makes another one.

    This also sets the number of threads that XLA uses on a CPU in this process: config.threads, by default one, which
    is part of what decides the last bits. XLA reads it when it makes its first array, so configure first; see `train`.

    Raises UserError, in one message that says what is legal, if a setting is unknown, a value is not legal, or the
    settings make several runs.

    >>> config = ab.configure("model=resnet20", "model.depth=8", shortcut="exclusive_gating", **{"shortcut.bias": -6})
    >>> config.model.depth, config.shortcut.bias, config.recipe.name
    (8, -6.0, 'digits')
    >>> ab.configure(shortcut="dropout", **{"shortcut.rate": 2})
    Traceback (most recent call last):
    ablations.errors.UserError: shortcut.rate=2.0: a rate is at least 0 and below 1
    """
    if wrong := [word for word in overrides if not isinstance(word, str)]:
        raise UserError(
            f"configure({wrong[0]!r}): settings are text or keywords, as configure('seed=3') or configure(seed=3)"
        )
    words = [*overrides, *(f"{name}={_typed(name, value)}" for name, value in settings.items())]
    if wrong := [word for word in words if "=" not in word]:
        raise UserError(
            f"{wrong[0]}: settings are key=value, such as configure('model=resnet20') or configure(model='resnet20')"
        )
    with compose.hydra() as context:
        planned = jobs.plan(context, words)
    if len(planned) != 1:
        names = [f"{job.config.row} seed={job.config.seed}" for job in planned[:3]]
        raise UserError(
            f"these settings make {len(planned)} runs ({', '.join(names)}{', ...' if len(planned) > 3 else ''}), but a "
            "configuration is for one run; with a study, choose one with row=... and seed=..."
        )
    environment.fix_threads(planned[0].config)
    return planned[0].config


def text(value: object) -> str:
    """A value as Hydra reads it: text and paths as they are, all else as JSON; NumPy's and JAX's numbers, too.

    Raises UserError for what is no value.
    """
    if isinstance(value, str | os.PathLike):
        return str(os.fspath(value))
    value = _plain(value) if hasattr(value, "dtype") else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # -6.0 is written -6, also in the name of a run's folder
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """What JSON does not know as what it knows. A number of 32 bits keeps the digits that it is printed with."""
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if not hasattr(value, "dtype"):
        raise UserError(f"{value!r}: a setting's value is a text, a number, a bool, None, or a list of them")
    listed = value.tolist()  # pyright: ignore[reportAttributeAccessIssue], of an array
    return float(str(value)) if isinstance(listed, float) else listed


def _typed(name: str, value: object) -> str:
    """A keyword's value as Hydra reads it; in quotes if it is a text that Hydra could not read, or would part."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    word = text(value)
    if not word or not isinstance(value, str):
        return word
    try:
        parted = OverridesParser.create().parse_rule(f"{name}={word}", "override").is_sweep_override()
    except HydraException:
        return quoting.quoted(word)
    return quoting.quoted(word) if parted and name in SINGLE else word


def settings_of(config: Config) -> list[str]:
    """The settings, key=value, that make a configuration: its choices, then the values that differ from them."""
    chosen = [f"{group}={getattr(config, group).name}" for group in GROUPS]
    with compose.hydra() as context:
        default = compose.parse(compose.compose(context, []))
        # Not checked: these choices alone may be no run, as those of a folder of images without the folder.
        base = _flat(compose.plain(compose.compose(context, chosen)))
    values = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in _flat(asdict(config)).items()
        if key not in base or value != base[key]
    ]
    return [
        f"{group}={getattr(config, group).name}"
        for group in GROUPS
        if getattr(config, group).name != getattr(default, group).name
    ] + values


def _flat(values: dict, prefix: str = "") -> dict[str, object]:
    """The values of nested dictionaries, by dotted keys."""
    flat = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
