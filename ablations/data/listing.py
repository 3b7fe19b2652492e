"""Which files below a folder are pictures, and their names as a person can read them."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
ENDINGS = ", ".join(SUFFIXES)
NAMED = 5  # how many names of a long list a message prints


@dataclass
class Listing:
    """The pictures in a folder and its sub-folders, by their paths from there, in order.

    folders: when each folder changed last, in ns. others: the endings of the files that are no pictures, and how many have
    each. What is hidden is in neither.
    """

    names: list[bytes] = field(default_factory=list)
    folders: dict[Path, int] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def pictures(folder: Path) -> Listing:
    """Links are followed, but not to a folder in which they lie. Raises OSError if a folder cannot be read."""
    found = Listing()
    _list(folder, b"", (), found)
    found.names.sort()
    return found


def _list(folder: Path, here: bytes, above: tuple[tuple[int, int], ...], found: Listing) -> None:
    status = os.stat(folder)
    place = status.st_dev, status.st_ino
    if place in above:
        return
    found.folders[folder] = status.st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            path = here + os.fsencode(entry.name)
            if entry.is_dir():
                _list(folder / entry.name, path + b"/", (*above, place), found)
            elif entry.name.lower().endswith(SUFFIXES):
                found.names.append(path)
            else:
                found.others[os.path.splitext(entry.name)[1].lower()] += 1


def unchanged(folders: dict[Path, int]) -> bool:
    """Whether no folder has changed since `pictures` listed it."""
    try:
        return all(os.stat(folder).st_mtime_ns == changed for folder, changed in folders.items())
    except OSError:
        return False


def readable(path: Path | str) -> str:
    """A path on one line in letters that any terminal and file takes: other bytes of a name are written as \\xff."""
    return "".join(
        letter if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
        for letter in str(path)
    )


def some(names: list[str]) -> str:
    """The first few of the names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(map(readable, names[:NAMED]))}{more}"
