"""Rematerialisation: less memory for the backward pass at the price of one more forward pass.

Chen et al. 2016, arXiv:1604.06174.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from ablations.networks.kernels import placement

# What a unit keeps for its backward pass. BN's output, activations and sums are computed again: reading and writing
# them would take longer, and keeping them would take more memory than everything else.
KEPT = ("convolution", "moments", "mask")
# On a TPU, by its compiler, writing a convolution to memory and reading it again takes longer than computing it twice.
KEPT_ON_A_TPU = ("moments", "mask")

# How much a unit keeps, in multiples of its input's size: 1 gave the least memory for ResNet-1001, by XLA's analysis.
KEPT_BY_A_UNIT = 1


def keep(x: jax.Array, kind: str) -> jax.Array:
    """Mark x to be kept, so that the backward pass need not compute it again; kind: one of KEPT."""
    return checkpoint_name(x, kind)


def units(step: Callable) -> Callable:
    """The step of a loop over units, keeping only its inputs and KEPT or KEPT_ON_A_TPU."""
    kept = KEPT_ON_A_TPU if placement.on_tpu() else KEPT
    return jax.checkpoint(step, policy=jax.checkpoint_policies.save_only_these_names(*kept), prevent_cse=False)


def scan(step: Callable, x, inputs, *, unroll: bool | int):
    """A `lax.scan` that keeps x only before every n-th step: the backward pass repeats n steps at a time.

    With n = sqrt(steps / KEPT_BY_A_UNIT), memory grows with the square root of the number of steps.
    """
    steps = len(jax.tree.leaves(inputs)[0])
    n = max(1, round(math.sqrt(steps / KEPT_BY_A_UNIT)))
    whole = steps - steps % n

    @jax.checkpoint
    def group(x, group_inputs):
        return jax.lax.scan(step, x, group_inputs, unroll=unroll)

    grouped = jax.tree.map(lambda leaf: leaf[:whole].reshape(whole // n, n, *leaf.shape[1:]), inputs)
    x, seen = jax.lax.scan(group, x, grouped, unroll=unroll)
    seen = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), seen)
    if whole == steps:
        return x, seen
    x, last = group(x, jax.tree.map(lambda leaf: leaf[whole:], inputs))
    return x, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), seen, last)
