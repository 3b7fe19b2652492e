"""Maps made smaller or larger without weights: pooling, means over cells, bilinear interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ablations.networks.architecture import Pool


def pool(x, row: Pool):
    """(N, H, W, C) -> (N, H', W', C). The padding of an average counts as zeros."""
    window, strides = (row.kernel, row.kernel), (row.stride, row.stride)
    pads = [row.pads(side) for side in x.shape[1:3]]
    if row.kind == "max":
        return nnx.max_pool(x, window, strides, pads)  # pyright: ignore[reportArgumentType]  # flax's type is too narrow
    return nnx.avg_pool(x, window, strides, pads)  # pyright: ignore[reportArgumentType]


def cells(x, side: int):
    """The mean over each of side x side parts of a map: (N, H, W, C) -> (N, side, side, C), float32.

    The parts overlap if a side is not divisible by their number, as those of PyTorch's adaptive average pooling do.
    """
    if side == 1:
        return x.mean((1, 2), jnp.float32)[:, None, None]
    x = x.astype(jnp.float32)
    if x.shape[1:3] == (side, side):
        return x
    rows, columns = (jnp.asarray(_shares(pixels, side)) for pixels in x.shape[1:3])
    return jnp.einsum("nhwc,ah,bw->nabc", x, rows, columns)


def _shares(pixels: int, cells: int) -> np.ndarray:
    """The weight of each of so many numbers in each of the means; (cells, pixels)."""
    starts = np.arange(cells) * pixels // cells
    ends = -(-(np.arange(cells) + 1) * pixels // cells)
    inside = (np.arange(pixels) >= starts[:, None]) & (np.arange(pixels) < ends[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def bilinear(x):
    """Bilinear interpolation in which corners stay corners: (N, H, W, C) -> (N, 2 H, 2 W, C)."""
    return _doubled(_doubled(x, 1), 2)


def _doubled(x, axis: int):
    """Twice the pixels along an axis: pixel i lies at i (n - 1) / (2 n - 1) of n. Without products of matrices, which would
    count as multiply-adds, and without gathers, whose gradients are slow.
    """
    n = x.shape[axis]
    inside = np.arange(n).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    edges = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    before, _, after = (jax.lax.slice_in_dim(jnp.pad(x, edges, "edge"), i, i + n, axis=axis) for i in range(3))
    even = x + (before - x) * jnp.asarray(inside / (2 * n - 1), x.dtype)
    odd = x + (after - x) * jnp.asarray((n - 1 - inside) / (2 * n - 1), x.dtype)
    return jnp.stack([even, odd], axis + 1).reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
