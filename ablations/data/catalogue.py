"""Any data set by its name: prepared, checked, loaded, and how large it is."""

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from ablations.data.config import DATASETS, DataConfig, Kind
from ablations.data.dataset import Dataset, check_subset, held_out, hold_out, subset
from ablations.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def prepare(config: DataConfig, *, download: bool = False) -> "Path | None":
    """Bring a data set to where `load` finds it; returns its folder, None for one that comes with a package.

    download: whether a network may be used. Raises UserError, with what to type, where the data set is missing.
    """
    module = _module(config)
    return module.prepare(config, download=download) if hasattr(module, "prepare") else None


def check(config: DataConfig) -> list[str]:
    """The names of the images that are broken; reads all of them where they are the user's own."""
    module = _module(config)
    return module.check(config) if hasattr(module, "check") else []


def _module(config: DataConfig):
    return import_module(DATASETS[config.name].module)


def kind(config: DataConfig) -> Kind:
    """What the data set of a configuration is.

    Raises UserError where that takes a look at a folder, and the folder is not as it must be.
    """
    of = DATASETS[config.name]
    if config.name == "image_folder":
        of = _module(config).kind(config)
    return replace(of, image=(config.crop, config.crop, 3)) if of.streamed else of


def sizes(config: DataConfig) -> tuple[int, int]:
    """How many images `load` gives to train and to test, without reading any.

    Raises UserError where there are fewer than `train_images`.
    """
    of = kind(config)
    train, test = of.train, of.test
    if config.split == "train_val":
        test = held_out(train)
        train -= test
    if config.train_images is not None:
        check_subset(config.train_images, train, of.classes)
        train = config.train_images
    return train, test


def check_fits(config: DataConfig, batch_size: int, images: int, pixels: int) -> None:
    """Raise UserError where a batch is larger than the training set or its images, `pixels` wide, are too small."""
    if batch_size > images:
        raise UserError(
            f"recipe.batch_size={batch_size}: the training set of {config.name} has {images} images; "
            f"choose at most {images}"
        )
    if config.pad >= pixels:
        raise UserError(f"data.pad={config.pad}: images of {config.name} are {pixels} pixels wide; choose less")


def load(config: DataConfig) -> Dataset:
    """Read a data set into memory, of the split and the size that the configuration asks for.

    Raises UserError where it is missing, or too small for `train_images`.
    """
    dataset = _module(config).load(config)
    if config.split == "train_val":
        dataset = hold_out(dataset)
    return dataset if config.train_images is None else subset(dataset, config.train_images)
