"""Data sets: what every one of them is, and how one is chosen by its name; the schema of `conf/data/`."""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from ablations.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class Kind:
    """What a data set is, known without reading it.

    image: (H, W, C) of what the network sees; train, test: the numbers of images.
    module: has load(config) -> Dataset and, where the data set must be brought there first,
        prepare(config, download=...) -> folder; imported when it is used. None: it cannot be loaded.
    """

    image: tuple[int, int, int]
    classes: int
    train: int
    test: int
    module: str | None


DATASETS = {
    "digits": Kind((8, 8, 1), 10, 1_437, 360, "ablations.digits"),
    "cifar10": Kind((32, 32, 3), 10, 50_000, 10_000, "ablations.prepared"),
    "cifar100": Kind((32, 32, 3), 100, 50_000, 10_000, "ablations.prepared"),
    "imagenet": Kind((224, 224, 3), 1000, 1_281_167, 50_000, None),  # Russakovsky et al. 2015; the crop of Sec. 5
}
SCALES = ("none", "shorter_side", "area_aspect")
SPLITS = ("train_test", "train_val")
VALIDATION_SHARE = 0.1  # of the training set: 5,000 of CIFAR's 50,000 images (He et al. 2015a, Sec. 4.2)

# Where a data set is found, not what it is: equal runs may differ in it.
PLACES = ("archive_dir", "data_dir", "verify")


@dataclass
class DataConfig:
    """A data set and its augmentation.

    pad: pixels of zeros on each side, of which a random crop of the image's size is taken.
    flip: whether half of the training images are mirrored.
    scale: how the crop of an ImageNet image is scaled: "none"; "shorter_side", random in [256, 480] (Sec. 5);
        "area_aspect", random area and aspect ratio (the authors' Torch code; Szegedy et al. 2015).
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
    scale: str = "none"
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
        if self.scale not in SCALES:
            raise ValueError(f"data.scale={self.scale}: legal are {', '.join(SCALES)}")
        if self.scale != "none" and self.name != "imagenet":
            raise ValueError(f"data.scale={self.scale}: only for data=imagenet; {self.name} has pad and flip")
        if self.split not in SPLITS:
            raise ValueError(f"data.split={self.split}: legal are {', '.join(SPLITS)}")
        if self.train_images is not None and self.train_images < 1:
            raise ValueError(f"data.train_images={self.train_images}: must be at least 1")


@dataclass(frozen=True, eq=False)
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
    module = _module(config)
    return module.prepare(config, download=download) if hasattr(module, "prepare") else None


def _module(config: DataConfig):
    module = DATASETS[config.name].module
    if module is None:
        raise UserError(
            f"data={config.name}: cannot be loaded yet, so nothing can be trained on it; ablations plan says what it "
            f"would cost. Can be loaded: {', '.join(name for name, kind in DATASETS.items() if kind.module)}"
        )
    return import_module(module)


def sizes(config: DataConfig) -> tuple[int, int]:
    """How many images `load` gives to train and to test, without reading any.

    Raises UserError where there are fewer than `train_images`.
    """
    kind = DATASETS[config.name]
    train, test = kind.train, kind.test
    if config.split == "train_val":
        test = _held_out(train)
        train -= test
    if config.train_images is not None:
        _check_subset(config.train_images, train, kind.classes)
        train = config.train_images
    return train, test


def _held_out(images: int) -> int:
    return round(VALIDATION_SHARE * images)


def _check_subset(images: int, of: int, classes: int) -> None:
    if not classes <= images <= of:
        raise UserError(
            f"data.train_images={images}: the training set has {of:,} images of {classes} classes; "
            f"choose {classes} ... {of}"
        )


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
    first = len(order) - _held_out(len(order))
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

    _check_subset(images, len(dataset.train_labels), dataset.classes)
    chosen = np.sort(stratified(dataset.train_labels)[:images])
    return replace(dataset, train_images=dataset.train_images[chosen], train_labels=dataset.train_labels[chosen])
