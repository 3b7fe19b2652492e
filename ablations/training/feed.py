"""Where batches come from: indices into a data set that is in memory, or the images that the loader reads from files.

A step takes either; nothing else knows the difference.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from ablations import randomness
from ablations.config.run import Config
from ablations.data import loader
from ablations.data.crops import Random
from ablations.data.dataset import Dataset
from ablations.data.encoded import Encoded, middle
from ablations.errors import UserError

Batches = np.ndarray | dict[str, np.ndarray]


def silent(name: str) -> None:
    """Skip broken images without a word."""


class Training:
    """Batches to train on; a context manager.

    steps: the remaining steps of the run. augmented: false for the middle of each image, as in a test.
    shard: (index, count) of the part of each batch that this process reads, if images are encoded.
    report_broken: called with the name of each broken image that was replaced by another.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        steps: range,
        *,
        augmented: bool = True,
        shard: tuple[int, int] = (0, 1),
        report_broken: Callable[[str], None] = silent,
    ):
        self.config, self.dataset, self.report_broken = config, dataset, report_broken
        self.step, self.open = steps.start, contextlib.ExitStack()
        size, data, (index, count) = config.recipe.batch_size, config.data, shard
        if dataset.streamed:
            rows = range(index * size // count, (index + 1) * size // count)
            crop = Random(data.crop_pixels, data.scale) if augmented else middle(data.crop_pixels, data.crop_pixels)
            skip = data.broken == "skip"
            images = _encoded(dataset.train_images)
            batch = loader.Training(images, dataset.train_labels, crop, config.seed, size, rows, skip)
            test_pixels = size * max(data.test_crops) ** 2  # tests have workers of their own, beside these
            loader.check_room(3 * (len(rows) * data.crop_pixels**2 + test_pixels), data.workers)
            self.read = self.open.enter_context(loader.reading(batch, steps, data.workers))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.close()

    def take(self, steps: int) -> Batches:
        """The batches of the next steps, as many as asked for; each leaf has a leading axis over the steps."""
        self.step += steps
        if not self.dataset.streamed:
            size, images = self.config.recipe.batch_size, len(self.dataset.train_images)
            return randomness.batches(self.config.seed, self.step - steps, steps, size, images)
        batches = [next(self.read) for _ in range(steps)]
        for number in np.concatenate([batch["broken"] for batch in batches]):
            self.report_broken(_encoded(self.dataset.train_images).name(int(number)))
        return {name: np.stack([batch[name] for batch in batches]) for name in ("images", "labels")}


def _encoded(images: np.ndarray | Encoded) -> Encoded:
    """The images of a data set that is `streamed`, as the loader takes them."""
    assert isinstance(images, Encoded), "the loader reads encoded images only"
    return images


def gather(dataset: Dataset, batches: np.ndarray) -> Batches:
    """Indices (steps, batch_size), or the images and labels that they stand for, as the steps take them."""
    if not dataset.streamed:
        return batches
    return {"images": np.asarray(dataset.train_images)[batches], "labels": dataset.train_labels[batches]}


def tests(
    config: Config,
    dataset: Dataset,
    pixels: int | None,
    report_broken: Callable[[str], None] = silent,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the test set as (images, labels): all at once if it is in memory, else one batch at a time.

    With label maps also one batch at a time, since the logits of all pixels may not fit into memory.

    pixels: width of the crop from the middle of encoded images, None for the width in training.
    report_broken: called with the name of each broken image, which is left out.
    shard: (index, count) of the part of the test set that this process reads.
    """
    (index, count), data = shard, config.data
    part = slice(index * len(dataset.test_labels) // count, (index + 1) * len(dataset.test_labels) // count)
    images, labels = dataset.test_images[part], dataset.test_labels[part]
    if not dataset.streamed:
        size = config.recipe.batch_size if labels.ndim > 1 else len(labels)
        for start in range(0, len(labels), size):
            yield np.asarray(images[start : start + size]), labels[start : start + size]
        return
    images = _encoded(images)
    crop, skip = middle(pixels or data.crop_pixels, data.crop_pixels), data.broken == "skip"
    batches = loader.InOrder(images, labels, crop, config.recipe.batch_size, skip)
    tested = 0
    with loader.reading(batches, range(len(batches)), data.workers) as read:
        for batch in read:
            for number in batch["broken"]:
                report_broken(images.name(int(number)))
            good = batch["labels"] >= 0
            tested += good.sum()
            if good.any():
                yield batch["images"][good], batch["labels"][good]
    if not tested:
        raise UserError(f"the test set of {dataset.name}: all images are broken")
