"""How many steps one call of a compiled program makes, and the dtypes it computes in."""

import jax
import jax.numpy as jnp

from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data import config as data_sets

DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}

# Elsewhere than on a CPU, where convolutions in a loop are slow, many steps make one call.
MOST_STEPS_PER_CALL = 100


def steps_a_call(config: Config, step: int) -> int:
    """How many steps the call makes that begins at `step`: one where its images have to come here first.

    Calls end where they end in a run that was never stopped: other calls, other last bits.
    """
    recipe, streamed = config.recipe, data_sets.DATASETS[config.data.name].streamed
    most = 1 if streamed or jax.default_backend() == "cpu" else MOST_STEPS_PER_CALL
    return min(most - step % recipe.evaluate_every % most, next_evaluation(recipe, step) - step)


def next_evaluation(recipe: RecipeConfig, step: int) -> int:
    """The first step after `step` that is followed by an evaluation."""
    return min(step - step % recipe.evaluate_every + recipe.evaluate_every, recipe.total_steps)
