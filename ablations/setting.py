"""Which settings decide a result, and which only where, how fast or how visibly a run gets there.

Each setting says so itself: a field of a schema, which is a dataclass, decides the result of a run unless it is made by
`incidental`. A setting that decides a result is in the run's record and in its name; one that does not is in neither.
"""

from copy import deepcopy
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any

KEY = "ablations.incidental"
OTHER, SPEED = "other", "speed"


def incidental(default: Any = MISSING, *, factory: Any = MISSING, speed: bool = False) -> Any:
    """A field that decides no result. speed: whether it decides how fast a step is, or how much memory it takes."""
    return field(default=default, default_factory=factory, metadata={KEY: SPEED if speed else OTHER})


def is_incidental(setting: Field) -> bool:
    return KEY in setting.metadata


def decides(schema: type, key: str) -> bool:
    """Whether the setting with this dotted key decides a result. A setting that the schema does not list does."""
    for part in key.split("."):
        setting = {setting.name: setting for setting in fields(schema)}.get(part) if is_dataclass(schema) else None
        if setting is None:
            return True  # it belongs to one choice of a group, as shortcut.bias does to the gated shortcuts
        if is_incidental(setting):
            return False
        schema = setting.type if isinstance(setting.type, type) else object
    return True


def deciding(settings) -> dict:
    """The settings of an instance of a schema that decide a result, as plain data; groups become dictionaries."""
    return {
        setting.name: _plain(getattr(settings, setting.name))
        for setting in fields(settings)
        if not is_incidental(setting)
    }


def _plain(value):
    return deciding(value) if is_dataclass(value) else deepcopy(value)


def speed(settings) -> dict:
    """The settings of an instance of a schema that decide how fast its steps are, but not their results."""
    return {
        setting.name: getattr(settings, setting.name)
        for setting in fields(settings)
        if setting.metadata.get(KEY) == SPEED
    }
