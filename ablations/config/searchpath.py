"""Where Hydra finds a user's configuration files: --config-dir DIR and hydra.searchpath=[...], for every command alike.

A file of theirs is a choice more in one of our groups: DIR/recipe/mine.yaml is recipe=mine.
"""

import os
import sys
from importlib import resources
from pathlib import Path

from ablations.errors import UserError

# As Hydra writes them, file:///home/me/conf or pkg://work.conf; all are looked through after ours.
places: list[str] = []


def add(place: str, what: str) -> None:
    """what: how a message names it.

    Raises UserError where it is not there, or has a file that would hide behind one of ours.
    """
    kind, _, rest = place.rpartition("://")
    if kind in ("", "file"):
        folder = Path(rest).expanduser().absolute()
        if not folder.is_dir():
            raise UserError(f"{what}: there is no such folder")
        place = f"file://{folder}"
    elif kind == "pkg":
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            folder = resources.files(rest.strip("/").replace("/", "."))
        except (ImportError, ValueError, TypeError):
            raise UserError(f"{what}: there is no such package") from None
    else:
        raise UserError(f"{what}: legal are file:///FOLDER and pkg://PACKAGE")
    ours = resources.files("ablations.conf")
    for group in (one.name for one in ours.iterdir() if one.is_dir()):
        for name in sorted(_stems(folder / group) & _stems(ours / group)):
            raise UserError(f"{what}: {group}/{name}.yaml is the name of one of the project's own: choose another name")
    if place not in places:
        places.append(place)


def parse(value: str) -> list[str]:
    """The places that hydra.searchpath=[...] names. Raises UserError where that is no list of them."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    override = f"hydra.searchpath={value}"
    try:
        [parsed] = OverridesParser.create().parse_overrides([override])
    except HydraException as error:
        raise UserError(f"{override}: {str(error).splitlines()[0]}") from error
    found = parsed.value()
    if not isinstance(found, list) or not all(isinstance(place, str) for place in found):
        raise UserError(f"{override}: give a list, as hydra.searchpath=[file:///FOLDER,pkg://PACKAGE]")
    return found


def choices(group: str) -> set[str]:
    """The files of a group, ours and those of all places."""
    found = _stems(resources.files("ablations.conf") / group)
    for place in places:
        kind, _, rest = place.partition("://")
        found |= _stems((Path(rest) if kind == "file" else resources.files(rest.replace("/", "."))) / group)
    return found


def _stems(folder) -> set[str]:
    return (
        {one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml")}
        if folder.is_dir()
        else set()
    )
