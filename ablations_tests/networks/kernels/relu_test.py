"""The ReLU is JAX's, and its gradient too, which reads the output alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ablations.networks.kernels.relu import relu


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_relu_and_its_gradient_are_those_of_jax(dtype):
    x = jnp.asarray([-2, -1e-30, -0.0, 0.0, 1e-30, 3, np.inf, -np.inf], dtype)
    dy = jnp.arange(1, 1 + len(x)).astype(dtype)
    (ours, pull), (theirs, pull_theirs) = jax.vjp(relu, x), jax.vjp(jax.nn.relu, x)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(pull(dy)[0], pull_theirs(dy)[0])


def test_the_gradient_reads_the_output_alone():
    y, pull = jax.vjp(relu, jnp.asarray([-1.0, 2.0]))
    [kept] = jax.tree.leaves(pull)
    np.testing.assert_array_equal(kept, y)
