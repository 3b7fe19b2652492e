"""The paths through a network, from the loss back to the first unit: each goes through F or past it in every unit.

L units have 2^L paths, of which C(L, n) are n units long. To find the gradient along a path, only one of the two
branches of each unit passes it back; the signal is that of the whole network, as in a test.
After Veit, Wilber and Belongie 2016, Sec. 4.3 and Fig. 6.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ablations.training.probe import let_through
from ablations.training.steps import State, Steps


def gradients(steps: Steps, state: State, images: int, seed: int, done: Callable[[], None]) -> list[float]:
    """The mean norm, over sampled paths, of the gradient of an image's loss by x_1; one number for each length 0 ... L.

    images: how many images of the training set are used; each has a path of its own.
    """
    sample, labels = steps.sample(images)
    compiled = steps.programs.jit(partial(_norms, steps))
    counts = steps.config.model.units
    norms = []
    for length in range(sum(counts) + 1):
        random = np.random.default_rng([seed, 2, length])
        through = np.zeros((len(sample), sum(counts)), np.float32)
        through[:, :length] = 1
        through = random.permuted(through, axis=1).T
        through = np.split(through, np.cumsum(counts)[:-1])
        image_norms = compiled(state.params, state.others, steps.data, sample, labels, through)
        norms.append(float(np.asarray(image_norms, np.float64).mean()))
        done()
    return norms


def _norms(*arguments):
    gradient = gradient_along(*arguments)
    gradient = gradient.astype(jnp.float32).reshape(len(gradient), -1)
    largest = jnp.abs(gradient).max(1, keepdims=True)  # squares may be too small for float32
    scaled = gradient / jnp.where(largest > 0, largest, 1)
    return largest[:, 0] * jnp.sqrt(jnp.square(scaled).sum(1))


def gradient_along(steps: Steps, params, others, data, images, labels, through):
    """The gradient of each image's loss by its x_1, (N, H, W, C), along the image's path.

    through: for each stage, (units, N): 1 if the path of the image goes through the unit's F, 0 if it goes past it.
    """
    images = steps.input(images, data)

    def loss(x):
        network = steps.merge(params, others, train=False)
        logits = network.classify(network.walk(x, _visit, through)[0])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum()

    return jax.grad(loss)(steps.merge(params, others, train=False).embed(images))


def _visit(unit, x, through):
    through = through.astype(x.dtype).reshape(-1, 1, 1, 1)
    read, _ = unit.branches(let_through(x, 1 - through))
    _, fx = unit.branches(let_through(x, through))
    return unit.after_addition(unit.shortcut(read, fx)), None


def shares(norms: list[float]) -> list[float]:
    """The share of the paths of each length in the sum over all paths, 0 ... 1: C(L, n) times their mean norm."""
    units = len(norms) - 1
    logs = [math.log(math.comb(units, n)) + math.log(norm) if norm > 0 else -math.inf for n, norm in enumerate(norms)]
    most = max(logs)
    if most == -math.inf:
        return [0.0] * len(norms)
    weights = [math.exp(log - most) for log in logs]
    return [weight / sum(weights) for weight in weights]
