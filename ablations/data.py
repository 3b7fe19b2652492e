"""Data sets: what every one of them is, and how one is chosen by its name; the schema of `conf/data/`."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# name -> module with load(config) -> Dataset; imported when it is used
DATASETS = {"digits": "ablations.digits"}


@dataclass
class DataConfig:
    """A data set and its augmentation.

    pad: pixels of zeros on each side, of which a random crop of the image's size is taken.
    flip: whether half of the training images are mirrored.
    """

    name: str
    pad: int = 0
    flip: bool = False

    def __post_init__(self):
        if self.name not in DATASETS:
            raise ValueError(f"data.name={self.name}: legal are {', '.join(DATASETS)}")
        if self.pad < 0:
            raise ValueError(f"data.pad={self.pad}: must be at least 0")


@dataclass(frozen=True)
class Dataset:
    """Images in memory: (N, H, W, C) uint8; labels: (N,) int32 in 0 ... classes - 1."""

    name: str
    classes: int
    train_images: "np.ndarray"
    train_labels: "np.ndarray"
    test_images: "np.ndarray"
    test_labels: "np.ndarray"


def load(config: DataConfig) -> Dataset:
    """Read a data set into memory."""
    return import_module(DATASETS[config.name]).load(config)
