"""Everything random comes from one seed, here.

Four independent streams: "init" draws the weights, "order" shuffles the training set, "augmentation"
crops and flips, "dropout" draws masks. What step t uses is a function of the seed and t alone, so a run can
resume at any step.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax

STREAMS = ("init", "order", "augmentation", "dropout")


def key(seed: int, stream: str) -> "jax.Array":
    """The key of a stream. seed: from 0 to 2^63 - 1, each with streams of its own."""
    import jax  # not at the top: workers that decode images draw numbers too, and need no JAX

    low, high = seed % 2**32, seed // 2**32  # JAX takes the lower 32 bits only
    whole = jax.random.key(np.uint32(low))
    return jax.random.fold_in(jax.random.fold_in(whole, high) if high else whole, STREAMS.index(stream))


def network_keys(seed: int) -> "dict[str, jax.Array]":
    """The keys that a network is built with, under the names of flax's streams."""
    return {"params": key(seed, "init"), "dropout": key(seed, "dropout")}


def batches(seed: int, first_step: int, steps: int, batch_size: int, images: int) -> np.ndarray:
    """Indices into the training set, (steps, batch_size) int32.

    Epochs follow each other without a gap: each image comes once in each epoch, and a batch may hold the
    end of one epoch and the start of the next.
    """
    start, stop = first_step * batch_size, (first_step + steps) * batch_size
    epochs = range(start // images, (stop - 1) // images + 1)
    shuffled = [_shuffled(seed, epoch, images) for epoch in epochs]
    offset = epochs[0] * images
    return np.concatenate(shuffled)[start - offset : stop - offset].reshape(steps, batch_size)


@lru_cache(maxsize=2)  # shuffling a million images takes longer than drawing a batch
def _shuffled(seed: int, epoch: int, images: int) -> np.ndarray:
    return np.random.default_rng([seed, STREAMS.index("order"), epoch]).permutation(images).astype(np.int32)


def image_generator(seed: int, position: int) -> np.random.Generator:
    """The generator for the scale and crop of a decoded image. position: the number of images trained on before it."""
    return np.random.default_rng([seed, STREAMS.index("augmentation"), position])
