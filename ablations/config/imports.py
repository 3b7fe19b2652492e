"""A user's own Python: --import mine.py runs the file, which defines shortcuts, orders and families.

A user's class is pickled as the command's imports and the name of the class. So every process that receives one imports
the same files first: joblib's workers, SLURM's jobs, Ray's tasks and the processes of `launch/hosts.py`, on any host.
Nothing depends on environment variables, which SLURM and Ray may not pass on.
"""

import copyreg
import hashlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ablations.errors import UserError
from ablations.networks import families, registry, scaling  # noqa: F401, whose names are taken
from ablations.networks.family import ModelConfig
from ablations.networks.registry import FamilyClass, Registered, ShortcutClass, shown
from ablations.networks.shortcut import Shortcut
from ablations.system.files import expanded

# What has been imported, in this order, as the arguments of `load`.
imported: list[tuple[str, str]] = []


def load(name: str, folder: str | None = None) -> None:
    """Import a file (mine.py, work/mine.py) or a module (work.mine), once; a file again if it has changed.

    folder: where the module's own imports are found, after all other places; by default the file's folder, or the
        current one.
    Raises UserError with the line of the user's source if it cannot be imported or a class in it is faulty.
    """
    if name.endswith(".py") or os.sep in name:
        path = expanded(name).absolute()
        name, folder = str(path), folder or str(path.parent)
        _search(folder)
        _run(path, folder)
    else:
        folder = folder or os.getcwd()
        _search(folder)
        _import(name, folder)
    if (name, folder) not in imported:
        imported.append((name, folder))


def _search(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a user's file hides no other module


def _run(path: Path, folder: str) -> None:
    """Run a file. An import statement would not do: the file may have any name, and its source may have changed."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"--import {shown(str(path))}: {error.strerror}") from error
    digest = hashlib.sha256(source).hexdigest()
    name = f"{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"  # two files may have the same stem
    if getattr(sys.modules.get(name), "__digest__", None) == digest:
        return
    module = ModuleType(name)
    module.__file__ = str(path)
    vars(module)["__digest__"] = digest
    before, known = sys.modules.get(name), _classes()
    sys.modules[name] = module  # dataclasses look up their module
    try:
        exec(compile(source, str(path), "exec"), vars(module))
        registry.check(_classes() - known)
    except BaseException as error:
        del sys.modules[name]
        if before:
            sys.modules[name] = before
        raise _explained(error, shown(str(path)), folder) from error


def _import(name: str, folder: str) -> None:
    known = _classes()
    try:
        importlib.import_module(name)
        registry.check(_classes() - known)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"--import {name}: there is no such module; name a file with its .py") from error
        raise _explained(error, name, folder) from error


def _classes() -> set[type]:
    return registry.derived(Shortcut) | registry.derived(ModelConfig)


def _explained(error: BaseException, name: str, folder: str) -> BaseException:
    """An error in a user's source as one message that names the line; a UserError or a Ctrl-C as it is."""
    if isinstance(error, UserError | KeyboardInterrupt):
        return error
    if isinstance(error, SyntaxError):
        return UserError(f"{shown(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}")
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".removesuffix(": ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_within(frame.filename, folder)]
    return UserError(
        f"{shown(frames[-1].filename)}:{frames[-1].lineno}: {reason}" if frames else f"--import {name}: {reason}"
    )


def _is_within(file: str, folder: str) -> bool:
    """Whether a file is the user's own: in the folder, but not in a virtual environment there."""
    return Path(file).is_relative_to(folder) and "site-packages" not in file and file != __file__


def _reduced(cls: Registered):
    """Pickle the class of a shortcut or a family, as copyreg asks."""
    if registry.is_ours(cls):
        return cls.__qualname__
    if cls.__module__ == "__main__":
        raise UserError(
            f"class {cls.__qualname__} is defined in a notebook or a script, where other processes do not find it: put "
            "it into a file, and import that"
        )
    return _restored, (tuple(imported), cls.__module__, cls.__qualname__)


def _restored(imports: tuple[tuple[str, str], ...], module: str, name: str) -> Registered:
    for arguments in imports:
        load(*arguments)
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


for each in (ShortcutClass, FamilyClass):
    copyreg.pickle(each, _reduced)
