"""Calls of the compiled training program: how many steps it has, and how many of them a call makes.

All calls of a run are of one program, which takes a minute to compile for a GPU. Those that have fewer steps to make,
before an evaluation or after a restart, leave the state as it is in the others: so few that they cost nothing.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data import config as data_sets
from ablations.training.feed import Batches

# On accelerators; on a CPU, convolutions in a loop are slow.
MOST_STEPS = 100


def length(config: Config, platform: str) -> int:
    """How many steps the program has; one if its images must be read from files first."""
    recipe = config.recipe
    if platform == "cpu" or data_sets.DATASETS[config.data.name].streamed:
        return 1
    between = min(recipe.evaluate_every, recipe.total_steps)
    return math.ceil(between / math.ceil(between / MOST_STEPS))


def due(config: Config, step: int, platform: str) -> int:
    """How many steps the call that begins at `step` makes.

    Calls end at the same steps as in a run that was never stopped, since other calls would give other last bits.
    """
    recipe, most = config.recipe, length(config, platform)
    return min(most - step % recipe.evaluate_every % most, next_evaluation(recipe, step) - step)


def next_evaluation(recipe: RecipeConfig, step: int) -> int:
    """The number of steps after which the next evaluation is due, if `step` are done."""
    return min(step - step % recipe.evaluate_every + recipe.evaluate_every, recipe.total_steps)


def count(batches, axis: int = 0) -> int:
    """The number of steps in batches, here or on the devices. axis: the one over steps."""
    return jax.tree.leaves(batches)[0].shape[axis]


def full(batches: Batches, length: int) -> tuple[Batches, np.int32 | None]:
    """Batches for a program of `length` steps, the last one repeated, and how many there were.

    None for that if the program has one step, which need not be told.
    """
    if length == 1:
        return batches, None
    rows = np.minimum(np.arange(max(length, count(batches))), count(batches) - 1)
    return jax.tree.map(lambda leaf: leaf[rows], batches), np.int32(count(batches))


def make(step: Callable, state, batches, made: jax.Array | None):
    """The program: step(state, batch) -> state, outputs for each batch, of which the first `made` change the state, or all
    for None. Returns the last state, and the outputs with a leading axis over the steps."""
    if count(batches) == 1:  # not a loop: XLA compiles a loop's convolutions worse on a CPU
        state, outputs = step(state, jax.tree.map(lambda x: x[0], batches))
        return state, jax.tree.map(lambda x: x[None], outputs)
    if made is None:
        return jax.lax.scan(step, state, batches)

    def if_due(state, numbered):
        i, batch = numbered
        new, outputs = step(state, batch)
        return jax.tree.map(lambda new, old: jnp.where(i < made, new, old), new, state), outputs

    return jax.lax.scan(if_due, state, (jnp.arange(count(batches)), batches))
