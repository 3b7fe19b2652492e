"""Where Hydra finds a user's configuration files: --config-dir DIR and hydra.searchpath=[...], in every command.

A file in a folder adds a choice to one of the project's groups: DIR/recipe/mine.yaml is recipe=mine. A file beside the
folders takes the place of the project's config.yaml, from which it begins: DIR/mine.yaml is --config-name mine.
"""

import os
import sys
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ablations.errors import UserError
from ablations.system.files import expanded

# As Hydra writes them, file:///home/me/conf or pkg://work.conf; they are searched after the project's own.
locations: list[str] = []
OURS = "config"
chosen: list[str] = []  # names of configurations; the last one counts


def primary() -> str:
    """The name of the configuration that is composed."""
    return chosen[-1] if chosen else OURS


def choose(name: str) -> None:
    """Compose this configuration from now on, a file of the project's or the user's."""
    chosen.append(name.removesuffix(".yaml"))


def check_chosen() -> None:
    """Raise UserError if a file of the user's was chosen that the project's own of the same name hides."""
    files = [folder / f"{OURS}.yaml" for folder in folders()] if chosen and primary() == OURS else []
    if file := next((file for file in files if file.is_file()), None):
        raise UserError(
            f"--config-name {OURS}: the project has a file {OURS}.yaml of its own, which hides {file}: choose another name. To "
            "repeat a saved run, type the settings in overrides.yaml beside it, in the folder .hydra"
        )


def add(location: str, label: str) -> None:
    """Search a folder or a package, too. label: how messages name it.

    Raises UserError if it does not exist, or contains a file that one of the project's files would hide.
    """
    kind, _, rest = location.rpartition("://")
    if kind in ("", "file"):
        folder = expanded(rest).absolute()
        if not folder.is_dir():
            raise UserError(f"{label}: there is no such folder")
        location = f"file://{folder}"
    elif kind == "pkg":
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            folder = resources.files(rest.strip("/").replace("/", "."))
        except (ImportError, ValueError, TypeError):
            raise UserError(f"{label}: there is no such package") from None
    else:
        raise UserError(f"{label}: legal are file:///FOLDER and pkg://PACKAGE")
    ours = resources.files("ablations.conf")
    for group in (entry.name for entry in ours.iterdir() if entry.is_dir()):
        for name in sorted(_stems(folder / group) & _stems(ours / group)):
            raise UserError(f"{label}: the project has a file {group}/{name}.yaml of its own: choose another name")
    if location not in locations:
        locations.append(location)


def parse(value: str) -> list[str]:
    """The folders and packages that hydra.searchpath=[...] lists. Raises UserError if it is not a list of them."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    override = f"hydra.searchpath={value}"
    try:
        [parsed] = OverridesParser.create().parse_overrides([override])
    except HydraException as error:
        raise UserError(f"{override}: {str(error).splitlines()[0]}") from error
    listed = parsed.value()
    if not isinstance(listed, list) or not all(isinstance(location, str) for location in listed):
        raise UserError(f"{override}: give a list, as hydra.searchpath=[file:///FOLDER,pkg://PACKAGE]")
    return listed


def is_ours(group: str) -> bool:
    """Whether every run has a choice of this group, so that it is not a user's own."""
    return (resources.files("ablations.conf") / group).is_dir()


def choices(group: str) -> set[str]:
    """The names of a group's files, the project's and the user's."""
    names = _stems(resources.files("ablations.conf") / group)
    for folder in folders():
        names |= _stems(folder / group)
    return names


def file_of(name: str) -> Traversable | None:
    """The user's own file of a configuration, such as recipe/mine; None if there is none, or the project's own hides it."""
    if (resources.files("ablations.conf") / f"{name}.yaml").is_file():
        return None
    files = (folder / f"{name}.yaml" for folder in folders())
    return next((file for file in files if file.is_file()), None)


def folders() -> Iterator[Traversable]:
    """The user's folders and packages, as they are searched."""
    for location in locations:
        kind, _, rest = location.partition("://")
        yield Path(rest) if kind == "file" else resources.files(rest.replace("/", "."))


def _stems(folder) -> set[str]:
    return (
        {entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
        if folder.is_dir()
        else set()
    )
