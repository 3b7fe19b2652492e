"""BN statistics of the whole training set, in place of running averages."""

import jax.numpy as jnp
from flax import nnx


def with_statistics(others, moments):
    """`others` with the means and variances that belong to these first and second moments."""
    flat = dict(nnx.to_flat_state(others))
    for path, value in moments.items():
        mean = moments[*path[:-1], "mean"]
        flat[path] = value if path[-1] == "mean" else value - jnp.square(mean)
    return nnx.from_flat_state(flat)
