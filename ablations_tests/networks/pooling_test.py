"""Pools, means over cells and bilinear interpolation against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from ablations.networks.architecture import Pool
from ablations.networks.pooling import bilinear, cells, pool


def windows(x, row, fill):
    """Each window of a pool: (i, j, (N, k, k, C)), by its definition."""
    pad = (row.kernel - 1) // 2 if row.pad is None else row.pad
    side = x.shape[1] + 2 * pad - row.kernel
    count = (-(-side // row.stride) if row.ceil else side // row.stride) + 1
    x = np.pad(x, ((0, 0), (pad, pad + row.stride), (pad, pad + row.stride), (0, 0)), constant_values=fill)
    for i in range(count):
        for j in range(count):
            yield i, j, x[:, i * row.stride :, j * row.stride :][:, : row.kernel, : row.kernel]


@pytest.mark.parametrize("row", [Pool("max", 3, 2), Pool("max", 2, 2), Pool("max", 3, 2, pad=0, ceil=True),
                                 Pool("max", 2, 2, ceil=True), Pool("max", 3, 1), Pool("average", 2, 2)])  # fmt: skip
def test_pools(row):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 6)).astype(np.float32)
    y, mean = np.asarray(pool(x, row)), row.kind == "average"
    for i, j, window in windows(x, row, 0 if mean else -np.inf):
        np.testing.assert_allclose(y[:, i, j], window.mean((1, 2)) if mean else window.max((1, 2)), rtol=1e-6)
    assert y.shape[1:3] == (i + 1, j + 1)


def test_means_over_cells_are_those_of_torch():
    """`adaptive_avg_pool2d`: cell i of n covers floor(i H / n) to ceil((i + 1) H / n)."""
    x = np.random.default_rng(0).normal(size=(2, 10, 7, 3)).astype(np.float32)
    y = np.asarray(cells(jnp.asarray(x), 4))
    rows, columns = ((0, 3), (2, 5), (5, 8), (7, 10)), ((0, 2), (1, 4), (3, 6), (5, 7))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            np.testing.assert_allclose(y[:, i, j], x[:, top:bottom, left:right].mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(cells(jnp.asarray(x[:, :4, :4]), 4), x[:, :4, :4])


@pytest.mark.parametrize("height,width", [(5, 3), (1, 2)])
def test_bilinear_interpolation_between_corners(height, width):
    """Pixel i of 2 n lies at i (n - 1) / (2 n - 1), between two of n: PyTorch's `align_corners=True`."""
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    rows, columns = (
        np.array([np.interp(np.arange(2 * n) * (n - 1) / (2 * n - 1), range(n), unit) for unit in np.eye(n)])
        for n in (height, width)
    )
    expected = np.einsum("nhwc,ha,wb->nabc", x, rows, columns)
    np.testing.assert_allclose(bilinear(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)
