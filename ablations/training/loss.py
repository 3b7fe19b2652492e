"""What a network is trained to make small, and how many of its predictions are wrong; pure functions."""

import jax
import jax.numpy as jnp
import optax

from ablations.data.config import IGNORED
from ablations.networks.unit import middle


def classification(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """The mean cross-entropy and the number of wrong predictions: (N, classes), (N,) int."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean(), (logits.argmax(-1) != labels).sum()


def segmentation(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """The cross-entropy, a mean over all pixels, and how many images the wrong pixels would fill, float32.

    logits: (N, H', W', classes); labels: (N, H, W) uint8, whose middle counts if the network's maps shrink. Pixels that are
    IGNORED count for neither.
    """
    labels = middle(labels, *logits.shape[1:3]).astype(jnp.int32)
    counted = labels != IGNORED
    pixels = jnp.maximum(counted.sum(), 1)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    losses = optax.softmax_cross_entropy(logits, targets)
    wrong = ((logits.argmax(-1) != labels) & counted).sum()
    return jnp.where(counted, losses, 0).sum() / pixels, len(labels) * wrong / pixels


LOSSES = {"classification": classification, "segmentation": segmentation}


def total(task: str, logits: jax.Array, auxiliary: list, labels: jax.Array, smoothing: float = 0.0):
    """The loss with those of auxiliary classifiers, pairs of a weight and logits; and the network's wrong predictions."""
    loss, wrong = LOSSES[task](logits, labels, smoothing)
    for weight, others in auxiliary:
        loss += weight * LOSSES[task](others, labels, smoothing)[0]
    return loss, wrong
