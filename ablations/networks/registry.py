"""Which shortcuts there are: the classes that are defined in this process, the project's six and a user's own.

A class is registered by its definition, in whichever file or notebook cell that stands. What is wrong with a user's class is
said in one message that names the line.

This module imports no JAX.
"""

import hashlib
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, dataclass
from pathlib import Path
from types import MemberDescriptorType
from typing import Any

from ablations.errors import UserError

SHORTCUTS: dict[str, type] = {}  # by name, as in shortcut=identity

PROJECT = "ablations.networks.shortcut"  # the module of the project's own


class Undefined(UserError, ValueError):
    """A run's shortcut has no class here. A ValueError too: a setting that cannot be used."""


@dataclass(frozen=True)
class Origin:
    """Where a class is defined.

    file: its path; of a notebook cell the name that Python gives it, None where there is no source.
    sha256: of the file, or of the cell, when the class was defined.
    """

    file: str | None
    line: int
    sha256: str | None

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.line}" if self.file else "a class"


_origins: dict[type, Origin] = {}


class ShortcutClass(type):
    """The type of shortcut classes: to define one is to register it."""

    def __init__(cls, name: str, bases: tuple, namespace: dict, **options):
        super().__init__(name, bases, namespace, **options)
        _register(cls)


def named(name: str | None, source: dict | None = None) -> type:
    """The class of a shortcut.

    source: what a record says of the class, see `made_by`. Raises Undefined, which says what to type.
    """
    if name in SHORTCUTS:
        return SHORTCUTS[name]
    file = (source or {}).get("file")
    if source and not file:
        raise Undefined(
            f"shortcut {name} is not defined here: it was defined in a notebook; define class {source['name']}"
        )
    raise Undefined(f"shortcut {name} is not defined here: add --import {shown(file) if file else 'FILE.py'}")


def made_by(cls: type) -> dict:
    """What a record says of a user's class: its name, its file and that file's SHA-256. Nothing of the project's six."""
    if is_ours(cls):
        return {}
    origin = _origins[cls]
    file = origin.file if origin.file and Path(origin.file).is_file() and cls.__module__ != "__main__" else None
    return {"shortcut_class": {"name": cls.__qualname__, "file": file, "sha256": origin.sha256}}


def is_ours(cls: type) -> bool:
    return cls.__module__ == PROJECT


def faults() -> dict[str, str]:
    """Of each user's class that is no shortcut, by its name: its line and what is wrong."""
    found = {name: (cls, _fault(cls)) for name, cls in SHORTCUTS.items() if not is_ours(cls)}
    return {name: f"{blame(cls)} {fault}" for name, (cls, fault) in found.items() if fault}


def blame(cls: type) -> str:
    """How a message about a user's class begins."""
    return f"{_origins[cls]}: class {cls.__qualname__}"


def derived(base: type) -> set[type]:
    """All classes that are derived from one, those of a user that are no choices among them."""
    return {one for cls in base.__subclasses__() for one in (cls, *derived(cls))}


def check(classes: set[type]) -> None:
    """Raises UserError where one of a file's classes is no shortcut."""
    for cls in sorted(classes, key=lambda cls: _origins[cls].line):
        if own_name(cls) and (fault := _fault(cls)):
            raise UserError(f"{blame(cls)} {fault}")
        if not own_name(cls) and not cls.__subclasses__():  # from which none is derived, and which nobody can choose
            raise UserError(f'{blame(cls)} has no name: give it one, as name: str = "{cls.__name__.lower()}"')


@contextmanager
def blamed_on(cls: type) -> Iterator[None]:
    """An error inside a user's class becomes a UserError that names the line; one inside ours stays what it is."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_ours(cls):
            raise
        origin = _origins[cls]
        line = line_of(error, origin.file) or origin.line
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise UserError(f"{shown(origin.file)}:{line}: shortcut {own_name(cls)}: {reason}") from error


def check_sum(cls: type, x, fx, total) -> None:
    """Raises UserError where the equation of a user's class makes an array of another shape or type than F(x)."""
    if is_ours(cls):
        return
    of_x, of_fx, of_total = (
        f"{getattr(of, 'dtype', type(of).__name__)}{list(getattr(of, 'shape', ()))}" for of in (x, fx, total)
    )
    if of_total != of_fx:
        raise UserError(
            f"{_origins[cls]}: the equation of {cls.__qualname__} makes {of_total} of x {of_x} and F(x) {of_fx}; it must make "
            f"{of_fx}"
        )


def line_of(error: BaseException, file: str | None) -> int | None:
    """The line of this file at which an error happened, the innermost one; None where it happened elsewhere."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def shown(file: str | None) -> str:
    """A path as a user would type it here."""
    if file is None:
        return "a notebook"
    near = os.path.relpath(file)
    return file if near.startswith("..") else near


def _register(cls: type) -> None:
    if not is_ours(cls):
        _origins[cls] = _origin(cls)
    if (name := own_name(cls)) is None:
        return  # abstract, as Gated is
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{blame(cls)} has the name {name!r}: a name is one word, as halved")
    if (other := SHORTCUTS.get(name)) and not _replaces(cls, other):
        owner = "one of the project's own" if is_ours(other) else f"defined already, in {_origins[other]}"
        raise UserError(f"{_origins[cls]}: shortcut {name} is {owner}: give class {cls.__qualname__} another name")
    SHORTCUTS[name] = cls


def _replaces(cls: type, other: type) -> bool:
    """Whether a class is a later version of another one: a notebook cell run again, a file imported again."""
    if is_ours(other):
        return is_ours(cls)
    return cls.__module__ == other.__module__ or _origins[cls].file == _origins[other].file


def own_name(cls: type) -> str | None:
    """The name that a class gives itself; None of an abstract one. Before @dataclass has run and after."""
    name: Any = vars(cls).get("name")  # of a user's class: whatever stands there
    if isinstance(name, MemberDescriptorType):  # of @dataclass(slots=True), which makes the class again
        name = cls.__dataclass_fields__["name"]
    default: Any = name.default if isinstance(name, Field) else name
    return default


def _origin(cls: type) -> Origin:
    frame = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") != cls.__module__:
        frame = frame.f_back
    if frame is None:  # made by unpickling
        return Origin(None, 0, None)
    file, line = frame.f_code.co_filename, frame.f_lineno
    try:
        source = Path(file).read_bytes()
    except OSError:
        source = "".join(linecache.getlines(file)).encode()
    return Origin(file, line, hashlib.sha256(source).hexdigest() if source else None)


def _fault(cls: type) -> str | None:
    if "__dataclass_fields__" not in vars(cls):
        return "is not a dataclass: write @dataclass above it"
    if cls.__dataclass_fields__["name"].default != own_name(cls):
        return f'has a name without a type: write name: str = "{own_name(cls)}"'
    for method, what in (("layers", "the layers of its equation"), ("equation", "the sum of x and F(x)")):
        if getattr(getattr(cls, method), "__isabstractmethod__", False):
            return f"has no {method}: {what}; see ablations/networks/shortcut.py"
    if not isinstance(inspect.getattr_static(cls, "equation"), staticmethod):
        return "has an equation that is not static: write @staticmethod above it; it takes x, fx and the layers"
    return None
