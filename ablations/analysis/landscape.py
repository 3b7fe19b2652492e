"""The training loss around a solution, along random filter-normalised directions.

After Li, Xu, Taylor, Studer and Goldstein 2018, "Visualizing the Loss Landscape of Neural Nets": a direction is
drawn from a normal distribution, and each of its filters is scaled to the norm of the solution's filter; biases and
BN's scale and shift stay fixed. BN uses the statistics of the solution, as in a test.
"""

import math
from functools import partial

import jax
import numpy as np
import optax
from flax import nnx

from ablations.networks import stack
from ablations.terminal import bar
from ablations.training.loss import segmentation
from ablations.training.steps import State, Steps


def surfaces(steps: Steps, state: State, name: str, *, images: int, directions: int, points: int) -> dict:
    """The loss on `images` training images, at `points` distances -1 ... 1 from the solution.

    lines: a list over the directions, of losses at `distances`. plane: losses at all pairs of `plane_distances`, half
    as many, along the first two directions. A loss that is not finite is None. Also the loss and the error at the
    solution.
    """
    batch = jax.device_put(steps.sample(images))
    compiled = steps.programs.jit(partial(_loss, steps))
    drawn = [direction(state.params, seed) for seed in range(max(directions, 2))]
    first, second, *_ = drawn

    def loss(first, second, a, b):
        place = np.float32(a), np.float32(b)  # of one type, since each type would be compiled again
        value, wrong = compiled(state.params, state.others, first, second, *place, steps.data, *batch)
        update(next(counter))
        return float(value) if math.isfinite(value) else None, float(wrong)

    distances = np.linspace(-1, 1, points)
    coarse = distances[:: 2 if points > 2 else 1]
    total = directions * points + len(coarse) ** 2 + 1
    counter = iter(range(1, total + 1))
    with bar.bar(name, total, "losses") as update:
        value, wrong = loss(first, second, 0.0, 0.0)
        lines = [[loss(drawn[i], drawn[i], distance, 0.0)[0] for distance in distances] for i in range(directions)]
        plane = [[loss(first, second, a, b)[0] for a in coarse] for b in coarse]
    return {
        "loss": value,
        "error_percent": 100 * wrong / images,
        "distances": distances.tolist(),
        "lines": lines,
        "plane_distances": coarse.tolist(),
        "plane": plane,
    }


def direction(params: nnx.State, seed: int) -> nnx.State:
    """A random direction, filter-normalised, with the shapes of the parameters."""
    random = np.random.default_rng([seed, 3])
    leaves = [(path, _leaf_direction(path, leaf, random)) for path, leaf in nnx.to_flat_state(params)]
    return nnx.from_flat_state(leaves)


def _leaf_direction(path, leaf, random):
    if path[-1] != "kernel":
        return jax.device_put(np.zeros(leaf.shape, leaf.dtype))  # `jnp.zeros` is a program for each shape
    drawn = random.standard_normal(leaf.shape, np.float32)
    filters = tuple(range(stack.is_stacked(path), leaf.ndim - 1))  # all axes of one unit except that of the filters

    def norms(kernel):
        return np.sqrt(np.square(kernel).sum(filters, keepdims=True))

    return jax.device_put(drawn * norms(np.asarray(leaf)) / norms(drawn))


def _loss(steps: Steps, params, others, first, second, a, b, data, images, labels):
    """The mean loss and the number of wrong predictions (see `Steps.train`), at distances a and b along the first and second direction."""
    params = jax.tree.map(lambda leaf, x, y: leaf + a * x + b * y, params, first, second)
    logits = steps.merge(params, others, train=False)(steps.input(images, data))
    if steps.config.data.task == "segmentation":
        return segmentation(logits, labels)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), (logits.argmax(-1) != labels).sum()
