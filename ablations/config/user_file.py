"""What is wrong in a user's own configuration file: the file and, where it is found, the line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from ablations.config import searchpath, yaml_text
from ablations.errors import UserError


def unreadable(error: Exception, overrides: Iterable[str]) -> UserError:
    """What to say of an error of Hydra's that is none of its own: a file is not YAML, or its defaults are no list.

    overrides: of the command, which choose the files.
    """
    named = re.search(r"[Ii]n '?([^\s',:]+)", str(error))
    mark = getattr(error, "problem_mark", None)
    chosen = [*(word.lstrip("+").replace("=", "/", 1) for word in overrides), searchpath.primary()]
    files = [*filter(None, map(searchpath.file_of, [*([named[1]] if named else []), *chosen]))]
    if isinstance(error, UnicodeDecodeError):
        files = [file for file in files if file.read_bytes() == error.object]
    elif isinstance(error, yaml.YAMLError):
        path = mark.name if mark else getattr(error, "name", None)
        files = [file for file in files if str(file) == path] or [resources.files("ablations.conf") / str(path)]
    if isinstance(error, UnicodeDecodeError | yaml.YAMLError) and files and files[0].is_file():
        return yaml_text.unreadable(files[0], error)
    return UserError(f"{files[0] if files else 'a configuration file'}: {str(error).splitlines()[0]}")


def refused(file: Traversable, name: str, error: OmegaConfBaseException) -> str:
    """What to say of a file whose content does not fit the settings, as OmegaConf says. name: such as recipe/mine."""
    key, reason = str(error.full_key or ""), str(error).splitlines()[0]
    place, group = _place(file, key), name.rpartition("/")[0]
    if not key:
        return f"{place}: {reason}; expected settings, as total_steps: 100"
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        if group in _defaults() and "defaults" not in _content(file):
            return f"{place}: {key}: there is no such setting; {_begin(group)}"
        schema = error.object_type
        legal = [field.name for field in fields(schema)] if is_dataclass(schema) else []
        near = "".join(f"; did you mean {word}?" for word in get_close_matches(key.rpartition(".")[2], legal, 1))
        return f"{place}: {key}: there is no such setting{near}" + (f"; legal are {', '.join(legal)}" if legal else "")
    if "not a ListConfig" in reason:
        reason = f"a list stands in brackets, as {key.rpartition('.')[2]}: [0.5, 0.75]"
    return f"{place}: {key}: {reason}"


def incomplete(key: str, choices: Mapping) -> str | None:
    """What to say of a setting without a value, such as recipe.name, if the user's file should have inherited it."""
    group = key.partition(".")[0]
    file = searchpath.file_of(f"{group}/{choices.get(group)}")
    return f"{file}: {key} has no value; {_begin(group)}" if file and group in _defaults() else None


def place_of(key: str, choices: Mapping) -> str | None:
    """The file of those that are composed in which a setting stands, and the line; None if it is not found.

    choices: of each group the file that is chosen.
    """
    names = {f"{group}/{choice}": f"{group}." for group, choice in choices.items()}
    for name, package in {searchpath.primary(): "", **names}.items():
        if not (file := searchpath.file_of(name)):
            continue
        if _has(_content(file), key) or (key.startswith(package) and _has(_content(file), key.removeprefix(package))):
            return _place(file, key)
    return None


def _begin(group: str) -> str:
    return f"begin the file with defaults: [{_defaults()[group]}, _self_], or another {group} that there is"


def _defaults() -> dict[str, str]:
    """Of each of the project's groups the choice that a command leaves."""
    ours = yaml.safe_load((resources.files("ablations.conf") / "config.yaml").read_bytes())["defaults"]
    return {group: name for entry in ours if isinstance(entry, dict) for group, name in entry.items()}


def _content(file: Traversable) -> Any:
    return yaml.safe_load(file.read_bytes())


def _has(content: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def _place(file: Traversable, key: str) -> str:
    stands = re.compile(rf"(?<![\w.]){re.escape(key.rpartition('.')[2])}\s*:")
    lines = [i for i, line in enumerate(file.read_bytes().decode().splitlines(), 1) if key and stands.search(line)]
    return f"{file}, line {lines[0]}" if lines else str(file)
