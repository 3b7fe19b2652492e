"""Images and masks in folders: root/train/images/NAME.jpg with root/train/masks/NAME.png, and the same in root/val/.

A mask belongs to the image of the same name, whatever the two endings, and lies in the sub-folder of the same name, if in
any. All are decoded once and kept in memory, as squares of data.crop pixels: four bytes a pixel.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablations.data import listing, masks
from ablations.data.config import DATASETS, DataConfig, Kind, MaskFolderConfig
from ablations.data.dataset import Dataset
from ablations.errors import UserError
from ablations.system.files import expanded
from ablations.terminal.bar import bar

SPLITS = ("train", "val")

Pair = tuple[Path, Path]  # an image and its mask


def kind(config: DataConfig) -> Kind:
    """Its number of classes, and of images, from a listing of the folders."""
    train, val = (_pairs(config, split) for split in SPLITS)
    return replace(DATASETS[config.name], classes=len(_own(config).values), train=len(train), test=len(val))


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder. Raises UserError, before any image is read, if it does not have the layout."""
    for split in SPLITS:
        _pairs(config, split)
    return _root(config)


def check(config: DataConfig) -> Iterator[str]:
    """Read every image and its mask; yields "" for those that are well, else their names and what is wrong with them."""
    yield from (str(error or "") for split in SPLITS for _, error in _read(config, split))


def load(config: DataConfig) -> Dataset:
    """All images and masks of train/ and val/.

    Raises UserError, which names the file, if a folder or a mask is missing, or if an image and its mask do not fit.
    """
    arrays = []
    for split in SPLITS:
        squares, labels = [], []
        for square, error in _read(config, split):
            if error:
                raise error
            squares.append(square[0])
            labels.append(square[1])
        arrays += [np.stack(squares), np.stack(labels)]
    return Dataset(config.name, len(_own(config).values), *arrays)


def _read(config: DataConfig, split: str) -> Iterator[tuple[tuple[np.ndarray, ...], UserError | None]]:
    """Each image with its label map, or the reason why there is none."""
    pairs, own, folder = _pairs(config, split), _own(config), _root(config) / split
    with bar(f"{config.name}: {split}", len(pairs), "images") as progress:
        for i, (image, mask) in enumerate(pairs, 1):
            try:
                files = image.read_bytes(), mask.read_bytes()
                yield masks.pair(*files, own.crop_pixels, own.values, own.ignored), None
            except (masks.Unfit, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                yield (
                    (),
                    UserError(f"{listing.readable(image)} with {listing.readable(mask.relative_to(folder))}: {reason}"),
                )
            progress(i)


def _own(config: DataConfig) -> MaskFolderConfig:
    assert isinstance(config, MaskFolderConfig)  # by its schema
    return config


def _root(config: DataConfig) -> Path:
    return expanded(config.root or "").absolute()


def _pairs(config: DataConfig, split: str) -> list[Pair]:
    """The images of a split in the order of their names, each with its mask."""
    folder = _root(config) / split
    images, labels = (_listed(config, folder / name) for name in ("images", "masks"))
    for here, there, lacking in ((images, labels, "masks"), (labels, images, "images")):
        if missing := sorted(here.keys() - there.keys()):
            raise UserError(
                f"{folder / lacking}: has nothing for {listing.some([here[name] for name in missing])}; an image and its "
                "mask have the same name, up to the ending"
            )
    if not images:
        raise UserError(f"{folder / 'images'}: has no images ({listing.ENDINGS})")
    return [(folder / "images" / images[name], folder / "masks" / labels[name]) for name in sorted(images)]


def _listed(config: DataConfig, folder: Path) -> dict[str, str]:
    """The files of a folder, by their paths from there without the ending."""
    try:
        files = listing.pictures(folder).names
    except OSError as error:
        raise UserError(
            f"data.root={config.root}: {error.filename}: {error.strerror}; the folder must hold train/ and val/, each with "
            "images/ and masks/"
        ) from error
    named = {}
    for file in map(os.fsdecode, files):
        name = os.path.splitext(file)[0]
        if name in named:
            raise UserError(
                f"{folder}: {listing.readable(file)} and {listing.readable(named[name])} have the same name: remove one"
            )
        named[name] = file
    return named
