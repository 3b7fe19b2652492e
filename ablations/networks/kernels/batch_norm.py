"""Batch normalisation and its gradient (Ioffe and Szegedy 2015, arXiv:1502.03167, Sec. 3).

Its gradient is written out so that the backward pass needs only x. Automatic differentiation would keep two more arrays
as large as x; reading and writing them would take much of a step's time, and most of its memory.
"""

from functools import partial

import jax
import jax.numpy as jnp

from ablations.networks.kernels.remat import keep


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(
    x: jax.Array, scale: jax.Array, shift: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x: (groups, ..., C), scale and shift: (C,) -> y like x, and each group's mean and (biased) variance, (groups, C).

    y = scale (x - mean) / sqrt(variance + epsilon) + shift. Statistics are float32. The gradient flows through y alone:
    the cotangents of the mean and the variance that are returned are ignored.
    """
    return _forward(x, scale, shift, epsilon)[0]


def _forward(x, scale, shift, epsilon):
    axes = tuple(range(1, x.ndim - 1))
    mean = keep(jnp.mean(x, axes, jnp.float32, keepdims=True), "moments")
    variance = keep(jnp.mean(jnp.square(x.astype(jnp.float32) - mean), axes, keepdims=True), "moments")
    y = normalise(x, mean, variance, scale, shift, epsilon)
    return (y, mean.reshape(len(x), -1), variance.reshape(len(x), -1)), (x, scale, mean, variance)


def normalise(x, mean, variance, scale, shift, epsilon):
    """scale (x - mean) / sqrt(variance + epsilon) + shift, in x's dtype; the four are (C,), or have x.ndim axes."""
    mean, variance, scale, shift = (_along(numbers, x) for numbers in (mean, variance, scale, shift))
    gain = jax.lax.rsqrt(variance + epsilon) * scale
    return (x * gain + (shift - mean * gain)).astype(x.dtype)


def _backward(epsilon, saved, cotangents):
    """The three derivatives of Sec. 3, by x (which also moves its group's mean and variance), by scale and by shift."""
    (x, scale, mean, variance), (dy, *_) = saved, cotangents
    axes = tuple(range(1, x.ndim - 1))
    precision = jax.lax.rsqrt(variance + epsilon)
    normalised = (x - mean) * precision
    dy = dy.astype(jnp.float32)
    along, across = jnp.sum(dy * normalised, axes, keepdims=True), jnp.sum(dy, axes, keepdims=True)
    count = x[0].size // x.shape[-1]
    dx = _along(scale, x) * precision * (dy - across / count - normalised * (along / count))
    all_but_last = tuple(range(x.ndim - 1))
    return dx.astype(x.dtype), along.sum(all_but_last), across.sum(all_but_last)


batch_norm.defvjp(_forward, _backward)


def _along(numbers, x):
    """(C,) -> (1, ..., C), with as many axes as x; an array that has as many already stays as it is."""
    return numbers.reshape((1,) * (x.ndim - numbers.ndim) + numbers.shape)
