"""Convolutions of groups of channels in the forms that are fast on a CPU; XLA's own are up to 60 times slower there.

- depthwise, as many groups as channels: a sum over the taps of the kernel, of shifted images times that tap;
- else: neighbouring groups are joined until they are WIDE channels wide, with zeros in the kernel between them, and each
  such part is one convolution without groups.

Both stay as fast inside a loop, and in the gradient.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from ablations.networks.kernels import placement

WIDE = 16  # channels from which joining groups costs more than the wider convolution saves, measured on a CPU


def in_parts(x: jax.Array, kernel: jax.Array, groups: int, convolve: Callable) -> jax.Array:
    """Some groups at a time. x: (N, H, W, C); kernel: (k, k, C / groups, D).

    convolve: (x, kernel) -> their convolution without groups.
    """
    k, _, channels, filters = kernel.shape
    filters //= groups
    wide_enough = -(-WIDE // min(channels, filters))
    joined = next(m for m in range(min(wide_enough, groups), groups + 1) if groups % m == 0)
    kernel = kernel.reshape(k, k, channels, groups // joined, joined, filters)
    kernel = jnp.einsum("ijcpmd,qm->pijqcmd", kernel, jnp.eye(joined, dtype=kernel.dtype))
    kernel = kernel.reshape(-1, k, k, joined * channels, joined * filters)
    parts = jnp.split(x, groups // joined, axis=-1)
    return jnp.concatenate([convolve(*part) for part in zip(parts, kernel, strict=True)], axis=-1)


@jax.custom_vjp
def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve each channel with a kernel of its own, with zero padding (k - 1) / 2 and stride 1.

    x: (N, H, W, C); kernel: (k, k, 1, C); returns an array like x. All sums are float32.
    """
    n, height, width, channels = x.shape
    k = len(kernel)
    # Rows of the kernel for each column of the image, zero at the taps that would see the end of the row before, or the
    # start of the next. By matrix products, which stay in memory: XLA would compute anything else again at each pixel.
    band = np.eye(k, dtype=np.float32)[:, None] * _inside(width, k)[..., None]
    band = jnp.asarray(band.reshape(k * width, k))
    rows = [(band @ row[:, 0].astype(jnp.float32)).reshape(k, 1, 1, width * channels) for row in kernel]
    taps = [row[j] for row in rows for j in range(k)]
    images = [image.reshape(n, height, -1).astype(jnp.float32) for image in _shifted(x, k)]
    y = reduce(jnp.add, (image * tap for image, tap in zip(images, taps, strict=True)))
    return y.astype(x.dtype).reshape(x.shape)


def _forward(x, kernel):
    return depthwise(x, kernel), (x, kernel)


def _backward(saved, dy):
    x, kernel = saved
    return depthwise(dy, kernel[::-1, ::-1]), _of_kernel(x, dy, len(kernel)).astype(kernel.dtype)


depthwise.defvjp(_forward, _backward)


def _shifted(x, k: int):
    """For each tap of a kernel, its input at all pixels, (N, H W C): an image is one long row, with zeros at both ends.

    So a tap is a slice, and a loop over it is long; but the pixels beyond the end of a row are those of the next. The row is
    made once, in memory: XLA would make it anew for each tap.
    """
    n, height, width, channels = x.shape
    ends = jnp.zeros((n, (k // 2) * (width + 1) * channels), x.dtype)
    x = jax.lax.optimization_barrier(jnp.concatenate([ends, x.reshape(n, -1), ends], axis=1))
    starts = [(i * width + j) * channels for i in range(k) for j in range(k)]
    return [x[:, start : start + height * width * channels] for start in starts]


def _inside(width: int, k: int) -> np.ndarray:
    """Whether tap j of a row of the kernel sees a pixel of the same row of the image; (k, width), float32."""
    column = np.arange(width) + np.arange(k)[:, None] - k // 2
    return ((column >= 0) & (column < width)).astype(np.float32)


def _of_kernel(x, dy, k: int):
    """The gradient of a kernel: dy times x at every tap, summed over images and pixels."""
    _, height, width, channels = x.shape
    if placement.devices() == 1:
        totals = _image_after_image(x, dy, k)
    else:  # a loop over images that lie on several devices would copy all of them to each device
        totals = [jnp.sum(image * dy.reshape(image.shape), 0, jnp.float32) for image in _shifted(x, k)]
    rows = jnp.stack(totals).reshape(k, k, height, width, channels).sum(2)
    return jnp.einsum("ijwc,jw->ijc", rows, jnp.asarray(_inside(width, k)))[:, :, None]


def _image_after_image(x, dy, k: int):
    """For each tap, x there times dy, summed over images: (H W C,), float32. A sum over a whole batch is ten times slower."""

    def add(totals, images):
        x, dy = (image[None].astype(jnp.float32) for image in images)
        return [total + image[0] * dy.reshape(-1) for total, image in zip(totals, _shifted(x, k), strict=True)], None

    zeros = [jnp.zeros(x[0].size, jnp.float32)] * k**2
    return jax.lax.scan(add, zeros, (x, dy))[0]
