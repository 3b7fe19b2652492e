"""The shortcuts that exist: all classes defined in this process, the project's and the user's own.

Defining a class registers it, in whichever file or notebook cell it stands. If something is wrong with a user's class,
one message says what, and names the line.

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
PROJECT = "ablations."  # how the names of the project's own modules begin


class Undefined(UserError, ValueError):
    """The class of a run's shortcut is not defined in this process. Also a ValueError, as for any unusable setting."""


@dataclass(frozen=True)
class Origin:
    """Where a class is defined.

    file: its path, or for a notebook cell the name that Python gives it; None if there is no source.
    sha256: the digest of the file or the cell when the class was defined.
    """

    file: str | None
    line: int
    sha256: str | None

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.line}" if self.file else "a class"


_origins: dict[type, Origin] = {}


class ShortcutClass(type):
    """The type of shortcut classes: defining a class registers it."""

    def __init__(cls, name: str, bases: tuple, namespace: dict, **options):
        super().__init__(name, bases, namespace, **options)
        _register(cls)


def find_class(name: str | None, source: dict | None = None) -> type:
    """The class of a shortcut.

    source: what a record says about the class, see `made_by`. Raises Undefined, which says what to type.
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
    """What a record says about a user's class: its name, file and the file's SHA-256. Empty for the project's own."""
    if is_ours(cls):
        return {}
    origin = _origins[cls]
    file = origin.file if origin.file and Path(origin.file).is_file() and cls.__module__ != "__main__" else None
    return {"shortcut_class": {"name": cls.__qualname__, "file": file, "sha256": origin.sha256}}


def is_ours(cls: type) -> bool:
    return cls.__module__.startswith(PROJECT)


def faults() -> dict[str, str]:
    """For each user's class that is not a valid shortcut, by name: its line and what is wrong."""
    classes = {name: (cls, _fault(cls)) for name, cls in SHORTCUTS.items() if not is_ours(cls)}
    return {name: f"{blame(cls)} {fault}" for name, (cls, fault) in classes.items() if fault}


def blame(cls: type) -> str:
    """How a message about a user's class begins."""
    return f"{_origins[cls]}: class {cls.__qualname__}"


def derived(base: type) -> set[type]:
    """All classes derived from a class, including a user's classes that nobody can choose."""
    return {each for cls in base.__subclasses__() for each in (cls, *derived(cls))}


def check(classes: set[type]) -> None:
    """Raise UserError if one of a file's classes is not a valid shortcut."""
    for cls in sorted(classes, key=lambda cls: _origins[cls].line):
        if own_name(cls) and (fault := _fault(cls)):
            raise UserError(f"{blame(cls)} {fault}")
        if not own_name(cls) and not cls.__subclasses__():  # nobody can choose it, and no class derives from it
            raise UserError(f'{blame(cls)} has no name: give it one, such as name: str = "{cls.__name__.lower()}"')


@contextmanager
def blamed_on(cls: type) -> Iterator[None]:
    """Turn an error inside a user's class into a UserError that names the line; errors inside ours stay as they are."""
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
    """Raise UserError if the equation of a user's class returns an array of another shape or type than F(x)."""
    if is_ours(cls):
        return
    x_shape, fx_shape, total_shape = (
        f"{getattr(array, 'dtype', type(array).__name__)}{list(getattr(array, 'shape', ()))}"
        for array in (x, fx, total)
    )
    if total_shape != fx_shape:
        raise UserError(
            f"{_origins[cls]}: the equation of {cls.__qualname__} makes {total_shape} from x {x_shape} and F(x) "
            f"{fx_shape}; it must make {fx_shape}"
        )


def line_of(error: BaseException, file: str | None) -> int | None:
    """The innermost line of this file at which an error happened; None if it happened elsewhere."""
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
        raise UserError(f"{blame(cls)} has the name {name!r}: a name must be one word, such as halved")
    if (other := SHORTCUTS.get(name)) and not _replaces(cls, other):
        owner = "one of the project's own" if is_ours(other) else f"already defined in {_origins[other]}"
        raise UserError(f"{_origins[cls]}: shortcut {name} is {owner}: give class {cls.__qualname__} another name")
    SHORTCUTS[name] = cls


def _replaces(cls: type, other: type) -> bool:
    """Whether a class is a later version of another: from a notebook cell run again, or a file imported again."""
    if is_ours(other):
        return is_ours(cls)
    return cls.__module__ == other.__module__ or _origins[cls].file == _origins[other].file


def own_name(cls: type) -> str | None:
    """The name that a class gives itself, None if it is abstract; works before and after @dataclass has run."""
    name: Any = vars(cls).get("name")  # whatever a user's class has there
    if isinstance(name, MemberDescriptorType):  # by @dataclass(slots=True), which makes the class again
        name = cls.__dataclass_fields__["name"]
    default: Any = name.default if isinstance(name, Field) else name
    return default


def _origin(cls: type) -> Origin:
    frame = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") != cls.__module__:
        frame = frame.f_back
    if frame is None:  # the class was made by unpickling
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
