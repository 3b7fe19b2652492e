"""SGD with momentum and weight decay, and the schedule of its learning rate; Sec. 3 and Appendix."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from ablations.config.recipe import RecipeConfig


def learning_rates(recipe: RecipeConfig) -> optax.Schedule:
    """Step (from 0) -> learning rate.

    With recipe=paper: 0.01 for the first 400 steps, 0.1 up to 32k, 0.01 up to 48k, 0.001 up to 64k.
    """
    warmup, base = round(recipe.warmup_fraction * recipe.total_steps), recipe.learning_rate
    if recipe.scale_lr_from:
        base *= recipe.batch_size / recipe.scale_lr_from
    if recipe.schedule == "cosine":
        first = recipe.warmup_factor * base if warmup else base
        return optax.warmup_cosine_decay_schedule(first, base, warmup, recipe.total_steps)
    changes = [(round(fraction * recipe.total_steps), recipe.drop_factor) for fraction in recipe.drop_fractions]
    if warmup and recipe.warmup == "linear":
        rising = optax.linear_schedule(recipe.warmup_factor * base, base, warmup)
        steady = _changing(base, changes)
        return lambda step: jnp.where(jnp.less(step, warmup), rising(step), steady(step))
    if not warmup:
        return _changing(base, changes)
    # One schedule with one count: joined schedules restart the count, and the drops would come late. And the jump is a
    # factor: one that starts from `base` rounds differently in f32, and the committed results would move.
    return _changing(recipe.warmup_factor * base, [(warmup, 1 / recipe.warmup_factor), *changes])


def _changing(start: float, changes: Sequence[tuple[int, float]]) -> optax.Schedule:
    """`start` times the factors of all the steps that have been reached; some may share a step.

    changes: pairs of a step and its factor.
    """
    factors: dict[int, float] = {}
    for step, factor in changes:
        factors[step] = factors.get(step, 1.0) * factor
    return optax.piecewise_constant_schedule(start, factors)


def decayed(params, on: str, is_convolution: Callable[[tuple], bool]):
    """A tree of booleans: which parameters decay. on: "all"; "convolutions" for their kernels only;
    "unit_convolutions" for those that are in units, on their shortcuts too.

    A trained number of a shortcut is like a bias: it decays with "all", as it does in Fixup's code, and not otherwise.

    is_convolution: see `Network`.
    """

    def is_decayed(path, _):
        names = tuple(part.key for part in path)
        return on == "all" or (is_convolution(names) and (on == "convolutions" or names[0] == "stages"))

    return jax.tree_util.tree_map_with_path(is_decayed, params)


def optimizer(recipe: RecipeConfig, is_convolution: Callable[[tuple], bool]) -> optax.GradientTransformation:
    """Weight decay added to the gradient, before momentum: the L2 penalty of the paper, not decoupled decay."""

    def mask(params):
        return decayed(params, recipe.weight_decay_on, is_convolution)

    return optax.chain(
        optax.add_decayed_weights(recipe.weight_decay, mask=mask),
        optax.sgd(learning_rates(recipe), recipe.momentum or None, nesterov=recipe.nesterov),
    )
