"""Where batches come from: of a data set in memory the indices of images, of encoded images what the loader reads.

The step takes either. Nothing else knows the difference.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from ablations import randomness
from ablations.config.run import Config
from ablations.data import loader
from ablations.data.crops import Random
from ablations.data.dataset import Dataset
from ablations.data.encoded import middle
from ablations.errors import UserError

Batches = np.ndarray | dict[str, np.ndarray]


def silent(name: str) -> None:
    """Broken images are passed over without a word."""


class Training:
    """Batches to train on; a context manager.

    steps: of the run, those to come. augmented: false for the middle of each image, as in a test.
    shard: (index, count) of the part of each batch that is read here, of encoded images.
    passed_over: called with the name of each broken image that was replaced.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        steps: range,
        *,
        augmented: bool = True,
        shard: tuple[int, int] = (0, 1),
        passed_over: Callable[[str], None] = silent,
    ):
        self.config, self.dataset, self.passed_over = config, dataset, passed_over
        self.step, self.open = steps.start, contextlib.ExitStack()
        size, data, (index, count) = config.recipe.batch_size, config.data, shard
        if dataset.streamed:
            rows = range(index * size // count, (index + 1) * size // count)
            crop = Random(data.crop, data.scale) if augmented else middle(data.crop, data.crop)
            skip = data.broken == "skip"
            batch = loader.Training(dataset.train_images, dataset.train_labels, crop, config.seed, size, rows, skip)
            tested = size * max(data.test_crops) ** 2  # the tests have workers of their own, beside these
            loader.check_room(3 * (len(rows) * data.crop**2 + tested), data.workers)
            self.read = self.open.enter_context(loader.reading(batch, steps, data.workers))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.close()

    def take(self, steps: int) -> Batches:
        """The batches of the next so many steps, each leaf with a leading axis over them."""
        self.step += steps
        if not self.dataset.streamed:
            size, images = self.config.recipe.batch_size, len(self.dataset.train_images)
            return randomness.batches(self.config.seed, self.step - steps, steps, size, images)
        batches = [next(self.read) for _ in range(steps)]
        for number in np.concatenate([batch["broken"] for batch in batches]):
            self.passed_over(self.dataset.train_images.name(int(number)))
        return {name: np.stack([batch[name] for batch in batches]) for name in ("images", "labels")}


def gathered(dataset: Dataset, batches: np.ndarray) -> Batches:
    """Indices, (steps, batch_size), or the images and labels they stand for, as `Steps` takes them."""
    if not dataset.streamed:
        return batches
    return {"images": dataset.train_images[batches], "labels": dataset.train_labels[batches]}


def tests(
    config: Config,
    dataset: Dataset,
    pixels: int | None,
    passed_over: Callable[[str], None] = silent,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The test set as (images, labels): all at once where it is in memory, else a batch at a time.

    pixels: of the crop from the middle of encoded images, None for the size trained on. A broken one is left out.
    shard: (index, count) of the part of the test set that is read here.
    """
    (index, count), data = shard, config.data
    part = slice(index * len(dataset.test_labels) // count, (index + 1) * len(dataset.test_labels) // count)
    images, labels = dataset.test_images[part], dataset.test_labels[part]
    if not dataset.streamed:
        yield images, labels
        return
    crop, skip = middle(pixels or data.crop, data.crop), data.broken == "skip"
    batches = loader.InOrder(images, labels, crop, config.recipe.batch_size, skip)
    tested = 0
    with loader.reading(batches, range(len(batches)), data.workers) as read:
        for batch in read:
            for number in batch["broken"]:
                passed_over(images.name(int(number)))
            good = batch["labels"] >= 0
            tested += good.sum()
            if good.any():
                yield batch["images"][good], batch["labels"][good]
    if not tested:
        raise UserError(f"the test set of {dataset.name}: all images are broken")
