"""Rematerialisation: less memory for the backward pass, for one more forward pass (Chen et al. 2016, arXiv:1604.06174)."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

# What the backward pass of a unit finds kept. BN's output, activations and sums are done again: reading and writing them
# would take longer than computing them, and more memory than all that is kept.
KEPT = ("convolution", "moments", "mask")

# What a unit keeps, in sizes of its input, as XLA reckons: 1 gave the least memory at ResNet-1001.
KEPT_BY_A_UNIT = 1


def keep(x: jax.Array, kind: str) -> jax.Array:
    """x, which the backward pass need not compute again; kind: one of KEPT."""
    return checkpoint_name(x, kind)


def units(step: Callable) -> Callable:
    """A step of a loop over units that keeps its inputs and KEPT alone."""
    return jax.checkpoint(step, policy=jax.checkpoint_policies.save_only_these_names(*KEPT), prevent_cse=False)


def scan(step: Callable, x, inputs, *, unroll: bool):
    """`lax.scan` that keeps x before every n-th step only: the backward pass does n steps again at a time.

    With n = sqrt(steps / KEPT_BY_A_UNIT), memory grows with the square root of the number of steps.
    """
    steps = len(jax.tree.leaves(inputs)[0])
    n = max(1, round(math.sqrt(steps / KEPT_BY_A_UNIT)))
    whole = steps - steps % n

    @jax.checkpoint
    def some(x, inputs):
        return jax.lax.scan(step, x, inputs, unroll=unroll)

    grouped = jax.tree.map(lambda leaf: leaf[:whole].reshape(whole // n, n, *leaf.shape[1:]), inputs)
    x, seen = jax.lax.scan(some, x, grouped, unroll=unroll)
    seen = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), seen)
    if whole == steps:
        return x, seen
    x, last = some(x, jax.tree.map(lambda leaf: leaf[whole:], inputs))
    return x, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), seen, last)
