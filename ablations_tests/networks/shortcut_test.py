"""The equation of each shortcut against numpy, with and without a change of shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.networks.architecture import Layer, Match, Unit
from ablations.networks.scaling import SHORTCUTS
from ablations.networks.shortcut import (
    ConstantScaling,
    Conv1x1,
    Dropout,
    ExclusiveGating,
    Identity,
    Shortcut,
    ShortcutOnlyGating,
)
from ablations.networks.skip import Skip
from ablations.networks.unit import ResidualUnit
from ablations_tests import reference
from ablations_tests.conftest import configure

SHAPES = [(6, 6, 1), (6, 10, 2)]  # channels, filters, stride


def made(shortcut, channels, filters, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 8, 8, channels)).astype(np.float32)
    fx = rng.normal(size=(3, 8 // stride, 8 // stride, filters)).astype(np.float32)
    skip = Skip(shortcut, (channels, filters, stride), Match(), bn=True, rngs=nnx.Rngs(params=1, dropout=2))
    return skip, x, fx, reference.option_a(x, filters, stride)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_identity(shape):
    add, x, fx, h = made(Identity(), *shape)
    close(add(x, fx), h + fx)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scales", [(0, 1), (0.5, 1), (0.5, 0.5)])
def test_constant_scaling(shape, scales):
    add, x, fx, h = made(ConstantScaling(shortcut_scale=scales[0], residual_scale=scales[1]), *shape)
    close(add(x, fx), scales[0] * h + scales[1] * fx)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [0, -6])
def test_gating(shape, bias):
    for variant, on_residual in ((ExclusiveGating, lambda g: g), (ShortcutOnlyGating, lambda g: 1)):
        add, x, fx, h = made(variant(bias=bias), *shape)
        g = reference.sigmoid(reference.conv(x, np.asarray(add.gate.conv.kernel[...]), shape[2]) + bias)
        assert add.gate.conv.kernel.shape[:2] == (1, 1)
        close(add(x, fx), (1 - g) * h + on_residual(g) * fx)


def test_a_gate_with_bn_starts_at_its_bias():
    add, x, fx, h = made(ShortcutOnlyGating(bias=-6, gate_bn=True, gate_kernel=3), 6, 6, 1)
    z = reference.batch_norm(reference.conv(x, np.asarray(add.gate.conv.kernel[...])), 1, -6)
    close(add(x, fx), (1 - reference.sigmoid(z)) * h + fx)
    assert add.gate.bias is None


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gate_of_two_convolutions(shape):
    """sigmoid(BN(W ReLU(BN(V x)))), the shift of the last BN b_g; V takes the stride."""
    settings = {"gate_bn": True, "gate_kernel": 3, "gate_convolutions": 2}
    add, x, fx, h = made(ExclusiveGating(bias=-6, **settings), *shape)
    v, w = np.asarray(add.gate.first.conv.kernel[...]), np.asarray(add.gate.conv.kernel[...])
    assert v.shape == (3, 3, *shape[:2]) and w.shape == (3, 3, shape[1], shape[1])
    hidden = np.maximum(reference.batch_norm(reference.conv(x, v, shape[2]), 1, 0), 0)
    g = reference.sigmoid(reference.batch_norm(reference.conv(hidden, w), 1, -6))
    close(add(x, fx), (1 - g) * h + g * fx)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bn", [True, False])
def test_conv1x1(shape, bn):
    add, x, fx, _ = made(Conv1x1(bn=bn), *shape)
    h = reference.conv(x, np.asarray(add.w.conv.kernel[...]), shape[2])
    close(add(x, fx), (reference.batch_norm(h, 1, 0) if bn else h) + fx)


@pytest.mark.parametrize("inverted", [True, False])
def test_dropout(inverted):
    add, _, _, _ = made(Dropout(rate=0.25, inverted=inverted), 6, 6, 1)
    x = jnp.ones((16, 16, 16, 6))
    once, again = add(x, jnp.zeros_like(x)), add(x, jnp.zeros_like(x))
    kept = 1 / 0.75 if inverted else 1
    assert set(np.unique(once).tolist()) == {0.0, np.float32(kept).item()}
    assert abs((once > 0).mean() - 0.75) < 0.01
    assert (once != again).any(), "a mask is used once"
    add.eval()
    close(add(x, jnp.zeros_like(x)), x if inverted else 0.75 * x)


def test_the_paper_drops_half_without_rescaling():
    assert configure("shortcut=dropout").shortcut == Dropout(rate=0.5, inverted=False)


def test_identity_where_the_shape_changes_if_asked():
    unit = ResidualUnit(
        Unit((Layer(10, 3, 2), Layer(10))),
        6,
        order=configure().activation,
        shortcut=Conv1x1(at_dimension_change=False),
        init="he_fan_out",
        rngs=nnx.Rngs(0),
    )
    assert not hasattr(unit.shortcut, "w")
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 6)).astype(np.float32)
    close(unit.shortcut(x, np.zeros((3, 4, 4, 10), np.float32)), reference.option_a(x, 10, 2))


def test_a_shortcut_does_not_see_the_numbers_it_is_compiled_with():
    def lowered(scale):
        add, x, fx, _ = made(ConstantScaling(shortcut_scale=scale), 6, 6, 1)
        graphdef, state = nnx.split(add)
        return jax.jit(lambda state, x, fx: nnx.merge(graphdef, state)(x, fx)).lower(state, x, fx).as_text()

    assert lowered(0.5) == lowered(0.25)


@pytest.mark.parametrize("name", SHORTCUTS)
def test_every_shortcut_is_a_choice_of_hydra(name):
    shortcut = configure(f"shortcut={name}").shortcut
    assert type(shortcut) is SHORTCUTS[name] and shortcut.name == name
    assert isinstance(shortcut, Shortcut)
