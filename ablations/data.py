"""Data sets: what every one of them is, and how one is chosen by its name; the schema of `conf/data/`."""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from ablations.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

# name -> module with load(config) -> Dataset; imported when it is used
# and, where a data set must be brought there first, prepare(config, download=...) -> folder
DATASETS = {"digits": "ablations.digits", "cifar10": "ablations.prepared", "cifar100": "ablations.prepared"}
SPLITS = ("train_test", "train_val")
VALIDATION_SHARE = 0.1  # of the training set: 5,000 of CIFAR's 50,000 images (He et al. 2015a, Sec. 4.2)

# Where a data set is found, not what it is: equal runs may differ in it.
PLACES = ("archive_dir", "data_dir", "verify")


@dataclass
class DataConfig:
    """A data set and its augmentation.

    pad: pixels of zeros on each side, of which a random crop of the image's size is taken.
    flip: whether half of the training images are mirrored.
    split: train_test for results; train_val for choosing: a tenth of the training set takes the test set's
        place, and the test set is not touched.
    train_images: train on this many images only, with the same share of each class. The same ones always, and
        a smaller subset is part of a larger one.
    archive_dir: the folder of the official archive, where there is no network.
    verify: whether that archive must be, to the byte, the published one.
    data_dir: where TensorFlow Datasets keeps its data sets; None is its own choice.
    """

    name: str
    pad: int = 0
    flip: bool = False
    split: str = "train_test"
    train_images: int | None = None
    archive_dir: str | None = None
    data_dir: str | None = None
    verify: bool = True

    def __post_init__(self):
        if self.name not in DATASETS:
            raise ValueError(f"data.name={self.name}: legal are {', '.join(DATASETS)}")
        if self.pad < 0:
            raise ValueError(f"data.pad={self.pad}: must be at least 0")
        if self.split not in SPLITS:
            raise ValueError(f"data.split={self.split}: legal are {', '.join(SPLITS)}")
        if self.train_images is not None and self.train_images < 1:
            raise ValueError(f"data.train_images={self.train_images}: must be at least 1")


@dataclass(frozen=True)
class Dataset:
    """Images in memory: (N, H, W, C) uint8; labels: (N,) int32 in 0 ... classes - 1."""

    name: str
    classes: int
    train_images: "np.ndarray"
    train_labels: "np.ndarray"
    test_images: "np.ndarray"
    test_labels: "np.ndarray"


def prepare(config: DataConfig, *, download: bool = False) -> "Path | None":
    """Bring a data set to where `load` finds it; returns its folder, None for one that comes with a package.

    download: whether a network may be used. Raises UserError, with what to type, where the data set is missing.
    """
    module = import_module(DATASETS[config.name])
    return module.prepare(config, download=download) if hasattr(module, "prepare") else None


def load(config: DataConfig) -> Dataset:
    """Read a data set into memory, of the split and the size that the configuration asks for.

    Raises UserError where it is missing, or too small for `train_images`.
    """
    dataset = import_module(DATASETS[config.name]).load(config)
    if config.split == "train_val":
        dataset = hold_out(dataset)
    return dataset if config.train_images is None else subset(dataset, config.train_images)


def stratified(labels: "np.ndarray") -> "np.ndarray":
    """A fixed random order of (N,) labels, (N,) int64, of which every beginning has the same share of each class."""
    import numpy as np

    shuffled = np.random.RandomState(0).permutation(len(labels))  # RandomState gives the same numbers for good (NEP 19)
    share = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[shuffled] == label)
        share[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return shuffled[np.argsort(share, kind="stable")]


def hold_out(dataset: Dataset) -> Dataset:
    """A tenth of the training set in the place of the test set, the rest to train; both in the published order."""
    import numpy as np

    order = stratified(dataset.train_labels)
    first = len(order) - round(VALIDATION_SHARE * len(order))
    train, validation = np.sort(order[:first]), np.sort(order[first:])
    return replace(
        dataset,
        train_images=dataset.train_images[train],
        train_labels=dataset.train_labels[train],
        test_images=dataset.train_images[validation],
        test_labels=dataset.train_labels[validation],
    )


def subset(dataset: Dataset, images: int) -> Dataset:
    """The first of the training set in the order of `stratified`, back in the published order.

    Raises UserError where there are not as many, or fewer than classes.
    """
    import numpy as np

    if not dataset.classes <= images <= len(dataset.train_labels):
        raise UserError(
            f"data.train_images={images}: the training set has {len(dataset.train_labels):,} images of "
            f"{dataset.classes} classes; choose {dataset.classes} ... {len(dataset.train_labels)}"
        )
    chosen = np.sort(stratified(dataset.train_labels)[:images])
    return replace(dataset, train_images=dataset.train_images[chosen], train_labels=dataset.train_labels[chosen])
