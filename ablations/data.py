"""Data sets: what every one of them is, and how one is chosen by its name; the schema of `conf/data/`."""

from dataclasses import dataclass, field, replace
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
        prepare(config, download=...) -> folder; where the numbers are another folder's each time,
        kind(config) -> Kind; where images may be broken, check(config) -> their names. Imported when it is used.
    streamed: images stay in files, and are decoded when they are trained on.
    """

    image: tuple[int, int, int]
    classes: int
    train: int
    test: int
    module: str
    streamed: bool = False


DATASETS = {
    "digits": Kind((8, 8, 1), 10, 1_437, 360, "ablations.digits"),
    "cifar10": Kind((32, 32, 3), 10, 50_000, 10_000, "ablations.prepared"),
    "cifar100": Kind((32, 32, 3), 100, 50_000, 10_000, "ablations.prepared"),
    # Russakovsky et al. 2015; the crop of Sec. 5
    "imagenet": Kind((224, 224, 3), 1000, 1_281_167, 50_000, "ablations.imagenet", streamed=True),
    "image_folder": Kind((224, 224, 3), 0, 0, 0, "ablations.image_folder", streamed=True),
}
SCALES = ("none", "shorter_side", "area_aspect")
COLOURS = ("none", "lighting", "jitter")
BROKEN = ("refuse", "skip")
SPLITS = ("train_test", "train_val")
VALIDATION_SHARE = 0.1  # of the training set: 5,000 of CIFAR's 50,000 images (He et al. 2015a, Sec. 4.2)

# Of images in files only.
OF_FILES = ("crop", "scale", "colour", "test_crops", "root")
# Where a data set is found and how it is read, not what it is: equal runs may differ in it.
PLACES = ("archive_dir", "data_dir", "verify", "workers")


@dataclass
class DataConfig:
    """A data set and its augmentation.

    pad: pixels of zeros on each side, of which a random crop of the image's size is taken.
    flip: whether half of the training images are mirrored.
    Of images in files:

    crop: pixels of the square that is trained on.
    scale: how it is scaled: "none"; "shorter_side", random in [256, 480] for crops of 224 pixels, in proportion for
        others (Sec. 5); "area_aspect", random area and aspect ratio (the authors' Torch code; Szegedy et al. 2015).
    colour: "none"; "lighting", of Krizhevsky et al. 2012 (Sec. 5); "jitter" of brightness, contrast and saturation,
        and lighting (the authors' Torch code).
    test_crops: pixels of the squares that are tested. The first is tested at each evaluation, and is that of tables; the
        others after the last step. One as large as `crop` is the middle of the image scaled to 8/7 of it (256 for
        224), another one that of the image scaled to its own size (Sec. 5: 320).
    broken: an image that cannot be decoded ends the run ("refuse"), or another takes its place and a test leaves it
        out ("skip"); it is named either way.
    workers: processes that read and decode; None for one a core, 0 for none.
    root: of image_folder: the folder with train/ and val/.

    Of all:

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
    crop: int | None = None
    scale: str = "none"
    colour: str = "none"
    test_crops: list[int] = field(default_factory=list)
    broken: str = "refuse"
    root: str | None = None
    split: str = "train_test"
    train_images: int | None = None
    archive_dir: str | None = None
    data_dir: str | None = None
    verify: bool = True
    workers: int | None = None

    def __post_init__(self):
        if self.name not in DATASETS:
            raise ValueError(f"data.name={self.name}: legal are {', '.join(DATASETS)}")
        if self.pad < 0:
            raise ValueError(f"data.pad={self.pad}: must be at least 0")
        for name, values in (("scale", SCALES), ("colour", COLOURS), ("broken", BROKEN)):
            if (value := getattr(self, name)) not in values:
                raise ValueError(f"data.{name}={value}: legal are {', '.join(values)}")
        if DATASETS[self.name].streamed:
            self._check_streamed()
        elif wrong := [name for name in OF_FILES if getattr(self, name) not in (None, "none", [])]:
            raise ValueError(
                f"data.{wrong[0]}={getattr(self, wrong[0])}: only for images in files, as of data=imagenet; {self.name} "
                "has pad and flip"
            )
        if self.split not in SPLITS:
            raise ValueError(f"data.split={self.split}: legal are {', '.join(SPLITS)}")
        if self.train_images is not None and self.train_images < 1:
            raise ValueError(f"data.train_images={self.train_images}: must be at least 1")

    def _check_streamed(self) -> None:
        if self.name == "image_folder" and not self.root:
            raise ValueError("data.root: say which folder has train/ and val/, as data.root=~/pictures")
        if self.pad:
            raise ValueError(f"data.pad={self.pad}: {self.name} has crop and scale in its place")
        if self.crop is None or self.crop < 1:
            raise ValueError(f"data.crop={self.crop}: must be at least 1")
        if not self.test_crops or any(crop < 1 for crop in self.test_crops):
            raise ValueError(f"data.test_crops={self.test_crops}: give one or more, of at least 1 pixel, as [320,224]")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"data.workers={self.workers}: must be at least 0")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images: (N, H, W, C) uint8 in memory, or, `streamed`, an `encoded.Encoded`; labels: (N,) int32 in 0 ... classes - 1."""

    name: str
    classes: int
    train_images: "np.ndarray"
    train_labels: "np.ndarray"
    test_images: "np.ndarray"
    test_labels: "np.ndarray"
    streamed: bool = False


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
        test = _held_out(train)
        train -= test
    if config.train_images is not None:
        _check_subset(config.train_images, train, of.classes)
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
