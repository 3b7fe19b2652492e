"""ReLU, whose gradient reads its output.

Automatic differentiation reads the input. The output of a unit is in memory for the next one, and its input is not: a
GPU would add the two branches again to see where their sum is positive.
"""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
    """max(x, 0), of any shape."""
    return jnp.maximum(x, 0)


def _forward(x):
    y = relu(x)
    return y, y


def _backward(y, dy):
    # Not `y > 0`, which XLA simplifies to `x > 0`.
    return (jnp.where(y != 0, dy, 0),)


relu.defvjp(_forward, _backward)
