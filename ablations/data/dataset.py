"""A data set that has been read; subsets of it, and a validation split."""

from dataclasses import dataclass, replace

import numpy as np

from ablations.data.encoded import Encoded
from ablations.errors import UserError

VALIDATION_SHARE = 0.1  # of the training set: 5,000 of CIFAR's 50,000 images (He et al. 2015a, Sec. 4.2)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images: (N, H, W, C) uint8, or encoded if `streamed`.

    labels: (N,) int32 in 0 ... classes - 1; for segmentation label maps (N, H, W) uint8, whose pixels may also be
    `data.config.IGNORED`.
    """

    name: str
    classes: int
    train_images: np.ndarray | Encoded
    train_labels: np.ndarray
    test_images: np.ndarray | Encoded
    test_labels: np.ndarray
    streamed: bool = False


def held_out(images: int) -> int:
    """How many of so many training images the validation split takes."""
    return round(VALIDATION_SHARE * images)


def check_subset(images: int, available: int, classes: int) -> None:
    """Raise UserError if there are fewer images than asked for, or if fewer are asked for than there are classes."""
    if not classes <= images <= available:
        raise UserError(
            f"data.train_images={images}: the training set has {available:,} images of {classes} classes; "
            f"choose {classes} ... {available}"
        )


def stratified(labels: np.ndarray) -> np.ndarray:
    """A fixed random order of (N,) labels, (N,) int64: the first n have the same share of each class, for every n.

    Label maps (N, H, W), each of which has several classes, are in random order.
    """
    shuffled = np.random.RandomState(0).permutation(len(labels))  # RandomState gives the same numbers for good (NEP 19)
    if labels.ndim > 1:
        return shuffled
    share = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[shuffled] == label)
        share[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return shuffled[np.argsort(share, kind="stable")]


def hold_out(dataset: Dataset) -> Dataset:
    """Replace the test set by a tenth of the training set; both parts keep the published order."""
    order = stratified(dataset.train_labels)
    first = len(order) - held_out(len(order))
    train, validation = np.sort(order[:first]), np.sort(order[first:])
    return replace(
        dataset,
        train_images=dataset.train_images[train],
        train_labels=dataset.train_labels[train],
        test_images=dataset.train_images[validation],
        test_labels=dataset.train_labels[validation],
    )


def subset(dataset: Dataset, images: int) -> Dataset:
    """The first images in the order of `stratified`, put back in the published order.

    Raises UserError as `check_subset`.
    """
    check_subset(images, len(dataset.train_labels), dataset.classes)
    chosen = np.sort(stratified(dataset.train_labels)[:images])
    return replace(dataset, train_images=dataset.train_images[chosen], train_labels=dataset.train_labels[chosen])
