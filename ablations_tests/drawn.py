"""Weights and statistics from NumPy in place of those that a network starts from, for which JAX compiles a long program."""

import jax
import numpy as np
from flax import nnx

from ablations.training.steps import State, Steps


def drawn(part: nnx.State, seed: int = 0, **numbers: float) -> nnx.State:
    """A part of a state, of which no more than shapes need be there, with other weights, means and variances.

    numbers: what is not drawn, as the constants of a shortcut, by the last word of its path.
    """
    random = np.random.default_rng(seed)
    flat = nnx.to_flat_state(part)
    return nnx.from_flat_state([(path, _leaf(path, like, random, numbers)) for path, like in flat])


def _leaf(path: tuple, like, random: np.random.Generator, numbers: dict[str, float]):
    if path[-1] in numbers:
        return np.full(like.shape, numbers[path[-1]], like.dtype)
    if path[-1] == "key":  # a random stream's, of dropout
        return jax.random.wrap_key_data(random.integers(2**32, size=(*like.shape, 2), dtype=np.uint32))
    if not jax.numpy.issubdtype(like.dtype, np.floating):
        return np.zeros(like.shape, like.dtype)
    noise = random.normal(size=like.shape).astype(np.float32)
    if path[-1] == "kernel":
        return noise * np.float32(np.sqrt(2 / np.prod(like.shape[-4:-1] if like.ndim > 3 else like.shape[-2])))
    noise *= np.float32(0.2)
    return np.exp(noise) if path[-1] == "variance" else noise + np.float32(path[-1] == "scale")


def state(steps: Steps, seed: int = 0, **numbers: float) -> State:
    """A state before a first step, of arrays that no program has made."""
    like = steps.abstract()
    params, others = drawn(like.params, seed, **numbers), drawn(like.others, seed + 1, **numbers)
    momentum = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like.momentum)
    return State(np.zeros((), np.int32), params, others, momentum)
