"""Any data set by its name: prepared, checked, loaded, and how large it is."""

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from ablations.data.config import DATASETS, DataConfig, Kind
from ablations.data.dataset import Dataset, check_subset, held_out, hold_out, subset
from ablations.errors import UserError
from ablations.system.files import why

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def prepare(config: DataConfig, *, download: bool = False) -> "Path | None":
    """Bring a data set to where `load` finds it; returns its folder, None if it comes with a package.

    download: whether the network may be used. Raises UserError, with what to type, if the data set is missing.
    """
    module = _module(config)
    return module.prepare(config, download=download) if hasattr(module, "prepare") else None


def check(config: DataConfig) -> "Iterator[str]":
    """Read every image of a user's own folder: "" for one that is well, else its name and what is wrong with it.

    Nothing for other data sets.
    """
    module = _module(config)
    return module.check(config) if hasattr(module, "check") else iter(())


def left_out(config: DataConfig) -> list[str]:
    """Which files of a user's own folder are not read, in words."""
    module = _module(config)
    return module.left_out(config) if hasattr(module, "left_out") else []


def _module(config: DataConfig):
    return import_module(DATASETS[config.name].module)


def kind(config: DataConfig) -> Kind:
    """What is known of a configuration's data set without reading it.

    Raises UserError if it is a folder of images without the layout that it needs.
    """
    known = DATASETS[config.name]
    module = _module(config) if config.root else None  # a folder of the user's own
    if module and hasattr(module, "kind"):
        known = module.kind(config)
    return replace(known, image=(config.crop, config.crop, 3)) if known.of_files else known


def sizes(config: DataConfig) -> tuple[int, int]:
    """The numbers of training and test images that `load` would return; reads none.

    Raises UserError if there are fewer than `train_images`.
    """
    known = kind(config)
    train, test = known.train, known.test
    if config.split == "train_val":
        test = held_out(train)
        train -= test
    if config.train_images is not None:
        check_subset(config.train_images, train, known.classes)
        train = config.train_images
    return train, test


def check_fits(config: DataConfig, batch_size: int, images: int, pixels: int) -> None:
    """Raise UserError if a batch is larger than the training set, or its images, `pixels` wide, are no wider than the padding."""
    if batch_size > images:
        raise UserError(
            f"recipe.batch_size={batch_size}: the training set of {config.name} has {images} images; "
            f"choose at most {images}"
        )
    if config.pad >= pixels:
        raise UserError(f"data.pad={config.pad}: images of {config.name} are {pixels} pixels wide; choose less")


def load(config: DataConfig) -> Dataset:
    """Read the split and the number of images that the configuration asks for.

    Raises UserError if the data set is missing, may not be read, or is smaller than `train_images`.
    """
    try:
        dataset = _module(config).load(config)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None:
            raise  # of the working folder
        raise UserError(f"data={config.name} cannot be read: {why(error)}") from error
    if config.split == "train_val":
        dataset = hold_out(dataset)
    return dataset if config.train_images is None else subset(dataset, config.train_images)
