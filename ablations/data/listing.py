"""Which files below a folder are pictures, and their names as a person can read them."""

import os
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
ENDINGS = ", ".join(SUFFIXES)
NAMED = 5  # how many names of a long list a message prints


def pictures(folder: Path) -> tuple[list[bytes], dict[Path, int]]:
    """The pictures in a folder and its sub-folders, by their paths from there, in order, and when each folder changed last.

    What is hidden is left out. Links are followed, but not to a folder in which they lie. Raises OSError if a folder cannot
    be read.
    """
    names, folders = [], {}
    _list(folder, b"", (), names, folders)
    return sorted(names), folders


def _list(folder: Path, here: bytes, above: tuple, names: list[bytes], folders: dict[Path, int]) -> None:
    status = os.stat(folder)
    place = status.st_dev, status.st_ino
    if place in above:
        return
    folders[folder] = status.st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            path = here + os.fsencode(entry.name)
            if entry.is_dir():
                _list(folder / entry.name, path + b"/", (*above, place), names, folders)
            elif entry.name.lower().endswith(SUFFIXES):
                names.append(path)


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
