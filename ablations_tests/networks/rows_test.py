"""The rows of branches against numpy."""

import numpy as np
from flax import nnx

from ablations.networks.architecture import Activate, Layer, Parallel, Pool
from ablations.networks.pooling import pool
from ablations.networks.rows import Branches, Excitation, Rows, UpConv, local_response
from ablations_tests import reference

RNG = np.random.default_rng(0)
SETTINGS = {"between": ["bn", "relu"], "after": [], "activate": ["relu"], "function": "relu", "init": "he_fan_out"}


def images(height=7, width=7, channels=6):
    return RNG.normal(size=(2, height, width, channels)).astype(np.float32)


def test_local_response_normalisation():
    x = 30 * images(channels=8)
    expected = np.empty_like(x)
    for c in range(8):
        total = np.square(x[..., max(0, c - 2) : c + 3]).sum(-1)
        expected[..., c] = x[..., c] / (2 + 1e-4 * total) ** 0.75
    np.testing.assert_allclose(local_response(x), expected, rtol=1e-5)


def test_a_transposed_convolution():
    up, x = UpConv(6, 4, bias=True, rngs=nnx.Rngs(0)), images()
    up.bias[...] = np.arange(4, dtype=np.float32)
    y, kernel = np.asarray(up(x)), np.asarray(up.kernel[...])
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(y[:, i::2, j::2], x @ kernel[i, j] + np.arange(4), rtol=1e-4, atol=1e-5)


def test_squeeze_and_excitation():
    excitation, x = Excitation(6, 2, rngs=nnx.Rngs(0)), images()
    hidden = np.maximum(excitation.squeeze(x.mean((1, 2))), 0)
    gate = np.clip(np.asarray(excitation.expand(hidden)) / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(excitation(x), x * gate[:, None, None], rtol=1e-5)


def test_branches_stand_side_by_side():
    x = images()
    branches = Branches(Parallel(((Layer(3, 1),), (Pool("max", 3, 1), Layer(2)))), 6, rngs=nnx.Rngs(0), **SETTINGS)
    one, three = (np.asarray(rows.convolutions[0].kernel[...]) for rows in branches.branches)
    y = np.asarray(branches(x))
    np.testing.assert_allclose(y[..., :3], reference.conv(x, one, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        y[..., 3:], reference.conv(np.asarray(pool(x, Pool("max", 3, 1))), three, 1), rtol=1e-4, atol=1e-5
    )


def test_activations_follow_the_convolutions_that_ask_for_them():
    rows = (Activate(), Layer(6, groups=6, activated=False), Layer(4, 1, bias=True), Pool("max", 2, 2), Layer(5))

    def made_and_run():
        made = Rows(rows, 6, rngs=nnx.Rngs(0), **SETTINGS)
        return made, made(images(8, 8))

    made, y = nnx.eval_shape(made_and_run)
    assert [activation.sequence for activation in made.activations] == [(), ("bn", "relu"), ()]
    assert made.convolutions[0].kernel.shape == (3, 3, 1, 6) and made.convolutions[1].bias is not None
    assert y.shape == (2, 4, 4, 5)
    assert made.extras[0].sequence == ("relu",)
