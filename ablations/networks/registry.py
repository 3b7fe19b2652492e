"""The shortcuts and families that exist: all classes defined in this process, the project's and the user's own.

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
from dataclasses import Field, dataclass, field
from pathlib import Path
from types import MemberDescriptorType
from typing import Any

from ablations.errors import UserError

PROJECT = "ablations."  # how the names of the project's own modules begin


@dataclass(eq=False)
class Kind:
    """A kind of class that a user may add to.

    word: what messages call it. key: the field whose default is the name of a class. group: in which configuration group
    that name is a choice. methods: those that a class must have, and what each returns. classes: all, by name.
    """

    word: str
    key: str
    group: str
    methods: dict[str, str]
    classes: dict[str, Any] = field(default_factory=dict)


SHORTCUT = Kind(
    *("shortcut", "name", "shortcut"), {"layers": "the layers of its equation", "equation": "the sum of x and F(x)"}
)
FAMILY = Kind("family", "family", "model", {"architecture": "the network as data"})
KINDS = (SHORTCUT, FAMILY)
SHORTCUTS = SHORTCUT.classes  # by name, as in shortcut=identity
FAMILIES = FAMILY.classes  # by name, as in a record's model.family


class Unusable(UserError, ValueError):
    """A user's class, or what it makes, cannot be used. Also a ValueError, as for any unusable setting."""


class Undefined(Unusable):
    """The class of a run's shortcut or family is not defined in this process."""


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


class Registered(type):
    """The type of a kind's classes: defining a class registers it."""

    kind: Kind

    def __init__(cls, name: str, bases: tuple, namespace: dict, **options):
        super().__init__(name, bases, namespace, **options)
        _register(cls)


class ShortcutClass(Registered):
    """The type of shortcut classes."""

    kind = SHORTCUT


class FamilyClass(Registered):
    """The type of families."""

    kind = FAMILY


def find_class(kind: Kind, name: str | None, record: dict | None = None) -> Any:
    """The class of this kind that has a name.

    record: in which `made_by` says more about the class. Raises Undefined, which says what to type.
    """
    if name in kind.classes:
        return kind.classes[name]
    source = (record or {}).get(f"{kind.group}_class") or {}
    file, missing = source.get("file"), f"{kind.word} {name} is not defined here"
    if source and not file:
        raise Undefined(f"{missing}: it was defined in a notebook; define class {source['name']}")
    raise Undefined(f"{missing}: add --import {shown(file) if file else 'FILE.py'}")


def made_by(*classes: type) -> dict:
    """What a record says about a user's classes, shortcut_class and model_class: name, file and the file's SHA-256.

    Nothing about the project's own.
    """
    made = {}
    for cls in classes:
        if not is_ours(cls):
            origin = _origins[cls]
            file = origin.file if origin.file and Path(origin.file).is_file() and cls.__module__ != "__main__" else None
            made[f"{_kind(cls).group}_class"] = {"name": cls.__qualname__, "file": file, "sha256": origin.sha256}
    return made


def is_ours(cls: type) -> bool:
    return cls.__module__.startswith(PROJECT)


def faults(kind: Kind) -> dict[str, str]:
    """For each user's class that is not a valid one of its kind, by name: its line and what is wrong."""
    classes = {name: (cls, _fault(cls)) for name, cls in kind.classes.items() if not is_ours(cls)}
    return {name: f"{blame(cls)} {fault}" for name, (cls, fault) in classes.items() if fault}


def blame(cls: type) -> str:
    """How a message about a user's class begins."""
    return f"{_origins[cls]}: class {cls.__qualname__}"


def derived(base: type) -> set[type]:
    """All classes derived from a class, including a user's classes that nobody can choose."""
    return {each for cls in base.__subclasses__() for each in (cls, *derived(cls))}


def check(classes: set[type]) -> None:
    """Raise UserError if one of a file's classes is not a valid one of its kind."""
    for cls in sorted(classes, key=lambda cls: _origins[cls].line):
        if own_name(cls) and (fault := _fault(cls)):
            raise UserError(f"{blame(cls)} {fault}")
        if not own_name(cls) and not cls.__subclasses__():  # nobody can choose it, and no class derives from it
            key = _kind(cls).key
            raise UserError(f'{blame(cls)} has no {key}: give it one, such as {key}: str = "{cls.__name__.lower()}"')


@contextmanager
def blamed_on(cls: type) -> Iterator[None]:
    """Turn an error inside a user's class into a UserError that names the line; errors inside ours stay as they are.

    So does a ValueError that begins with the name of a setting, such as model.depth=3: it is a refusal.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        refusal = isinstance(error, ValueError) and str(error).startswith(f"{_kind(cls).group}.")
        if is_ours(cls) or refusal:
            raise
        origin = _origins[cls]
        line = line_of(error, origin.file) or origin.line
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise Unusable(f"{shown(origin.file)}:{line}: {_kind(cls).word} {own_name(cls)}: {reason}") from error


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
    kind = _kind(cls)
    if not is_ours(cls):
        _origins[cls] = _origin(cls)
    if (name := own_name(cls)) is None:
        return  # abstract, as Gated is
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{blame(cls)} has the {kind.key} {name!r}: a {kind.key} must be one word, such as halved")
    if (other := kind.classes.get(name)) and not _replaces(cls, other):
        owner = "one of the project's own" if is_ours(other) else f"already defined in {_origins[other]}"
        raise UserError(
            f"{_origins[cls]}: {kind.word} {name} is {owner}: give class {cls.__qualname__} another {kind.key}"
        )
    kind.classes[name] = cls


def _kind(cls: Any) -> Kind:
    return type(cls).kind


def _replaces(cls: type, other: type) -> bool:
    """Whether a class is a later version of another: from a notebook cell run again, or a file imported again."""
    if is_ours(other) or cls.__module__ == other.__module__:
        return cls.__module__ == other.__module__
    return _origins[cls].file == _origins[other].file


def own_name(cls: type) -> str | None:
    """The name that a class gives itself, None if it is abstract; works before and after @dataclass has run."""
    key = _kind(cls).key
    name: Any = vars(cls).get(key)  # whatever a user's class has there
    if isinstance(name, MemberDescriptorType):  # by @dataclass(slots=True), which makes the class again
        name = cls.__dataclass_fields__[key]
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
    kind = _kind(cls)
    if "__dataclass_fields__" not in vars(cls):
        return "is not a dataclass: write @dataclass above it"
    if getattr(cls.__dataclass_fields__.get(kind.key), "default", None) != own_name(cls):
        return f'has a {kind.key} without a type: write {kind.key}: str = "{own_name(cls)}"'
    for method, what in kind.methods.items():
        if getattr(getattr(cls, method), "__isabstractmethod__", False):
            return f"has no {method}: {what}; see ablations/networks/{kind.word}.py"
    for name in cls.__dataclass_fields__ if kind is FAMILY else ():
        if any(isinstance(vars(base).get(name), property) for base in cls.__mro__):
            return f"has a setting {name}, which every {kind.word} has as something else: give it another name"
    if kind is SHORTCUT and not isinstance(inspect.getattr_static(cls, "equation"), staticmethod):
        return "has an equation that is not static: write @staticmethod above it; it takes x, fx and the layers"
    return None
