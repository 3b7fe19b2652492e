"""Arrays that are written to memory where XLA's compiler for CPUs would compute them again for each of their readers."""

import jax
import jax.numpy as jnp


def written(x: jax.Array) -> jax.Array:
    """x, (N, H, ...), computed once.

    XLA copies what is cheap to compute, such as a sum of arrays, into everything that reads it, but never a concatenation.
    The barrier keeps it from seeing that the two halves are x. They are not of images, which may lie on several devices.
    """
    half = x.shape[1] // 2
    return jnp.concatenate(jax.lax.optimization_barrier((x[:, :half], x[:, half:])), axis=1)


@jax.custom_vjp
def gradient_written(x: jax.Array) -> jax.Array:
    """x, (N, H, ...), whose gradient is computed once."""
    return x


gradient_written.defvjp(lambda x: (x, None), lambda _, dx: (written(dx),))
