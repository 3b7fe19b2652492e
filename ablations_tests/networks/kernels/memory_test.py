"""Arrays that a CPU computes once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ablations.networks.kernels import memory


@pytest.mark.parametrize("height", [0, 1, 2, 5])
def test_an_array_and_a_gradient_stay_what_they_are(height):
    x = jnp.arange(3.0 * height * 2).reshape(3, height, 2)
    np.testing.assert_array_equal(jax.jit(memory.written)(x), x)
    y, pull = jax.vjp(memory.gradient_written, x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(pull(x + 1)[0], x + 1)


def most_operands(units: int) -> int:
    """Those of the largest kernel in the gradient of units that concatenate, as a DenseNet's do."""

    def loss(x, kernels):
        for kernel in kernels:
            x = memory.gradient_written(x)
            x = jnp.concatenate([x, x @ kernel], axis=-1)
        return jnp.sum(jnp.square(x))

    kernels = [jnp.ones((2 + 2 * i, 2)) for i in range(units)]
    program = jax.jit(jax.grad(loss)).lower(jnp.ones((2, 4, 4, 2)), kernels).compile().as_text()
    return max(len(operands.split(", %")) for operands in re.findall(r" fusion\((.*?)\), kind=", program))


def test_no_kernel_computes_the_gradients_of_all_later_units():
    assert most_operands(8) == most_operands(16)
