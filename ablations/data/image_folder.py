"""Images in folders: root/train/CLASS/*.jpeg and root/val/CLASS/*.jpeg, the usual layout.

Classes are the folders in alphabetical order, images the files in them and in their sub-folders in order of their names; no
file is opened here.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ablations.data import listing, loader
from ablations.data.config import DATASETS, DataConfig, Kind
from ablations.data.dataset import Dataset
from ablations.data.encoded import Encoded, middle
from ablations.errors import UserError
from ablations.system.files import expanded
from ablations.terminal.bar import bar

SPLITS = ("train", "val")
CHECKED = 64  # images in a batch when a folder is checked

_listings: dict[Path, "Files"] = {}


@dataclass(frozen=True)
class Files:
    """The files of a split, ordered by class and name: an `encoded.Source`.

    names: (N,) bytes, paths from the folder of the class; one array, since a million strings take longer to send to a worker.
    folders: when each folder changed last, in ns; as long as none has, the listing holds.
    """

    folder: Path
    classes: tuple[str, ...]
    names: np.ndarray
    labels: np.ndarray
    folders: dict[Path, int]

    def read(self, number: int) -> bytes:
        return self._path(number).read_bytes()

    def name(self, number: int) -> str:
        return listing.readable(self._path(number))

    def stamp(self, number: int) -> str:
        try:
            status = self._path(number).stat()
        except OSError:  # reported when it is decoded
            return f"{self.name(number)} broken"
        return f"{self.name(number)} {status.st_size} {status.st_mtime_ns}"

    def _path(self, number: int) -> Path:
        return self.folder / self.classes[self.labels[number]] / os.fsdecode(bytes(self.names[number]))


def kind(config: DataConfig) -> Kind:
    """Its number of classes and of images, from a listing of the folders."""
    train, val = (_listed(config, split) for split in SPLITS)
    return replace(DATASETS[config.name], classes=len(train.classes), train=len(train.names), test=len(val.names))


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder. Raises UserError, before any image is read, if it does not have the layout."""
    loader.check()
    load(config)
    return _root(config)


def check(config: DataConfig) -> Iterator[str]:
    """Read and decode every image; yields "" for one that is well, else its name and what is wrong with it."""
    for files in _both(config):
        images = _encoded(config, files)
        labels = np.zeros(len(images), np.int32)
        batches = loader.InOrder(images, labels, middle(images.pixels, images.pixels), CHECKED, skip=True)
        with (
            bar(listing.readable(files.folder), len(images), "images") as progress,
            loader.reading(batches, range(len(batches)), config.workers) as read,
        ):
            done = 0
            for batch in read:
                yield from [""] * int((batch["labels"] >= 0).sum())
                for number in batch["broken"]:
                    yield f"{images.name(int(number))}: {images.fault(int(number))}"
                progress(done := done + len(batch["labels"]))


def left_out(config: DataConfig) -> list[str]:
    """The files that are not read, in words: pictures that lie in no class, and files with endings of no picture."""
    words = []
    for split in SPLITS:
        files = _listed(config, split)
        with os.scandir(files.folder) as entries:
            loose = sum(entry.is_file() and entry.name.lower().endswith(listing.SUFFIXES) for entry in entries)
        others = Counter()
        for name in files.classes:
            others += listing.pictures(files.folder / name).others
        words += [f"{split}/: pictures in no folder of a class: {loose:,}"] if loose else []
        counts = [
            f"{count:,} {listing.readable(ending) or 'without an ending'}" for ending, count in others.most_common()
        ]
        words += [f"{split}/: files with endings of no picture: {', '.join(counts)}"] if counts else []
    return words


def load(config: DataConfig) -> Dataset:
    """All files of train/ and val/.

    Raises UserError if a folder is missing or empty, or if the two have different classes.
    """
    train, val = _both(config)
    images, tests = _encoded(config, train), _encoded(config, val)
    return Dataset(config.name, len(train.classes), images, train.labels, tests, val.labels, streamed=True)


def _both(config: DataConfig) -> tuple[Files, Files]:
    train, val = (_listed(config, split) for split in SPLITS)
    for full, lacking in ((train, val), (val, train)):
        if missing := sorted(set(full.classes) - set(lacking.classes)):
            raise UserError(
                f"{lacking.folder}: has no folder for {listing.some(missing)} of {full.folder.name}/: both must have the "
                f"same classes; add their images, or remove them from {full.folder.name}/"
            )
    return train, val


def _encoded(config: DataConfig, files: Files) -> Encoded:
    return Encoded(files, np.arange(len(files.names)), config.crop_pixels)


def _root(config: DataConfig) -> Path:
    if config.root is None:
        raise UserError("data.root: say which folder has train/ and val/, as data.root=~/pictures")
    return Path(config.root)


def _listed(config: DataConfig, split: str) -> Files:
    folder = expanded(_root(config)).absolute() / split
    try:
        with os.scandir(folder) as entries:
            classes = tuple(sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."))
        files = _files(folder, classes)
    except OSError as error:
        raise UserError(
            f"data.root={config.root}: {error.filename}: {error.strerror}; the folder must hold train/ and val/, each with one "
            "folder of images a class"
        ) from error
    if not classes:
        raise UserError(f"{folder}: has no folders; it must have one a class, with that class's images")
    images = np.bincount(files.labels, minlength=len(files.classes))
    if empty := [name for name, count in zip(files.classes, images, strict=True) if not count]:
        raise UserError(
            f"{folder}: no images in {listing.some(empty)}; add some ({listing.ENDINGS}) or remove the folder"
        )
    return files


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    """Listed once in a process, for there may be a million, and again if a folder has changed."""
    known = _listings.get(folder)
    if known and known.classes == classes and listing.unchanged(known.folders):
        return known
    names, labels, folders = [], [], {}
    for label, name in enumerate(classes):
        found = listing.pictures(folder / name)
        names += found.names
        labels += [label] * len(found.names)
        folders |= found.folders
    _listings[folder] = Files(folder, classes, np.array(names, bytes), np.array(labels, np.int32), folders)
    return _listings[folder]
