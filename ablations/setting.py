"""Settings that do not decide a result, only where, how fast or how visibly a run gets there, say so where they are defined.

A field of a schema, a dataclass, decides the result of a run unless it is made by `incidental`. What decides a result is
in a run's record and in its name; what does not is in neither.
"""

from copy import deepcopy
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any

KEY = "ablations.incidental"

ELSE, SPEED = "else", "speed"


def incidental(default: Any = MISSING, *, factory: Any = MISSING, speed: bool = False) -> Any:
    """A field that decides no result. speed: it decides how fast a step is, or how much memory it takes."""
    return field(default=default, default_factory=factory, metadata={KEY: SPEED if speed else ELSE})


def is_incidental(place: Field) -> bool:
    return KEY in place.metadata


def decides(schema: type, key: str) -> bool:
    """Whether a setting of a schema, by its dotted key, decides a result; one that the schema does not list does."""
    for part in key.split("."):
        place = {place.name: place for place in fields(schema)}.get(part) if is_dataclass(schema) else None
        if place is None:
            return True  # it exists only beside another one, as shortcut.bias does
        if is_incidental(place):
            return False
        schema = place.type if isinstance(place.type, type) else object
    return True


def deciding(settings) -> dict:
    """The settings that decide a result, as plain data: those of an instance of a schema, groups as dictionaries."""
    return {place.name: _plain(getattr(settings, place.name)) for place in fields(settings) if not is_incidental(place)}


def _plain(value):
    return deciding(value) if is_dataclass(value) else deepcopy(value)


def speed(settings) -> dict:
    """The settings of an instance of a schema that decide how fast its steps are, and not what comes out of them."""
    return {place.name: getattr(settings, place.name) for place in fields(settings) if place.metadata.get(KEY) == SPEED}
