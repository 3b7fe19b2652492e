"""Batch normalisation, with the ReLU that may follow it, and their gradient (Ioffe and Szegedy 2015, arXiv:1502.03167,
Sec. 3).

The gradient is written out so that the backward pass needs only x. Automatic differentiation would keep two more arrays
as large as x; reading and writing them would take much of a step's time, and most of its memory.
"""

from functools import partial

import jax
import jax.numpy as jnp

from ablations.networks.kernels import placement
from ablations.networks.kernels.remat import keep


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def batch_norm(
    x: jax.Array, scale: jax.Array, shift: jax.Array, centre: jax.Array, epsilon: float, relu: bool = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x: (groups, ..., C); scale, shift and centre: (C,) -> y like x, each group's mean and (biased) variance, (groups, C).

    y = scale (x - mean) / sqrt(variance + epsilon) + shift or, with `relu`, the positive part of that. Statistics are
    float32. centre: numbers near the means, such as the running ones; they change nothing but rounding, see `_moments`.
    The gradient flows through y alone: the cotangents of the mean and the variance that are returned are ignored.
    """
    return _forward(x, scale, shift, centre, epsilon, relu)[0]


def _forward(x, scale, shift, centre, epsilon, relu):
    moments = _moments(x, centre)
    if placement.on_tpu():
        mean, variance = (keep(moment, "moments") for moment in moments)
    else:  # in a loop, a GPU takes a kernel to keep an array
        mean, variance = keep(jnp.stack(moments), "moments")
    y = normalise(x, mean, variance, scale, shift, epsilon)
    y = jax.nn.relu(y) if relu else y
    return (y, mean.reshape(len(x), -1), variance.reshape(len(x), -1)), (x, scale, shift, mean, variance)


def normalise(x, mean, variance, scale, shift, epsilon):
    """scale (x - mean) / sqrt(variance + epsilon) + shift, in x's dtype; the four are (C,), or have x.ndim axes."""
    mean, variance, scale, shift = (_along(numbers, x) for numbers in (mean, variance, scale, shift))
    gain = jax.lax.rsqrt(variance + epsilon) * scale
    return (x * gain + (shift - mean * gain)).astype(x.dtype)


def _moments(x, centre):
    """Mean and variance of each group, (groups, 1, ..., C), from one pass over x, which takes longer than its arithmetic.

    variance = E[(x - c)^2] - E[x - c]^2. Its rounding error, relative to the variance, is that of float32 times
    1 + ((mean - c) / std)^2, whence the centre c: the mean over earlier batches.
    """
    centre = _along(centre, x)
    centred = x.astype(jnp.float32) - centre
    # A single reduction is two kernels on a GPU in place of three. A TPU sums in the convolution that makes x.
    first, second = _means(centred, jnp.square(centred), together=placement.on_gpu())
    return centre + first, jnp.maximum(second - jnp.square(first), 0)


def _means(a, b, *, together: bool):
    """The means of two arrays over all axes but the first and the last, which stay. together: by a single reduction."""
    axes = tuple(range(1, a.ndim - 1))
    count = a[0].size // a.shape[-1]
    if not together:
        return [jnp.sum(array, axes, keepdims=True) / count for array in (a, b)]
    zeros = (jnp.zeros((), jnp.float32),) * 2
    sums = jax.lax.reduce((a, b), zeros, lambda x, y: tuple(map(jnp.add, x, y)), axes)
    return [jnp.expand_dims(total, axes) / count for total in sums]


def _backward(epsilon, relu, saved, cotangents):
    """The derivatives of Sec. 3, by x (which also moves its group's mean and variance), by scale and by shift."""
    (x, scale, shift, mean, variance), (dy, *_) = saved, cotangents
    precision = jax.lax.rsqrt(variance + epsilon)
    dy = dy.astype(jnp.float32)
    if placement.on_tpu():
        return _by_channel(x, dy, scale, shift, mean, precision, relu)
    normalised = (x - mean) * precision
    if relu:
        dy = jnp.where(normalise(x, mean, variance, scale, shift, epsilon) > 0, dy, 0)
    along, across = _means(dy * normalised, dy, together=placement.on_gpu())
    dx = _along(scale, x) * precision * (dy - across - normalised * along)
    return _cotangents(dx, x, along, across)


def _by_channel(x, dy, scale, shift, mean, precision, relu):
    """The same with as few operations on maps as can be, and few small kernels for a channel's numbers: for a TPU."""
    centred, gain = x - mean, _along(scale, x) * precision
    if relu:  # where y > 0, but for the last bit
        dy = jnp.where(centred * gain + _along(shift, x) > 0, dy, 0)
    along, across = _means(dy * centred, dy, together=not relu)  # with a ReLU, a convolution takes the sums
    along = along * precision
    dx = gain * dy - centred * (gain * precision * along) - gain * across
    return _cotangents(dx, x, along, across)


def _cotangents(dx, x, along, across):
    """Those of x, scale, shift and centre."""
    count, all_but_last = x[0].size // x.shape[-1], tuple(range(x.ndim - 1))
    return dx.astype(x.dtype), count * along.sum(all_but_last), count * across.sum(all_but_last), None


batch_norm.defvjp(_forward, _backward)


def _along(numbers, x):
    """(C,) -> (1, ..., C), with as many axes as x; an array that has as many already stays as it is."""
    return numbers.reshape((1,) * (x.ndim - numbers.ndim) + numbers.shape)
