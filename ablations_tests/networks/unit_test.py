"""Units whose shortcut does not stand everywhere, reads something else, or is concatenated."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.errors import UserError
from ablations.networks.activation import ORDERS
from ablations.networks.architecture import Layer, Unit, Up
from ablations.networks.shortcut import Conv1x1, Dropout, ExclusiveGating, Identity, NoShortcut
from ablations.networks.unit import ResidualUnit

RNG = np.random.default_rng(0)


def build(unit, channels, read=None, *, order="full_preactivation", shortcut=None):
    return ResidualUnit(
        unit, channels, read, order=ORDERS[order], shortcut=shortcut or Identity(), init="he_fan_out", rngs=nnx.Rngs(0)
    )


def images(channels, side=8):
    return jnp.asarray(RNG.normal(size=(3, side, side, channels)), jnp.float32)


def test_a_concatenation_is_a_sum_after_zero_padding():
    """[x, F] = [x, 0] + [0, F], to the bit."""
    unit, x = build(Unit((Layer(4),), join="concatenate"), 6), images(6)
    carried, fx = unit.branches(x)
    np.testing.assert_array_equal(unit.shortcut(carried, fx), jnp.concatenate([x, fx[..., 6:]], axis=-1))


@pytest.mark.parametrize("shortcut", [ExclusiveGating(), Conv1x1(), Dropout(), NoShortcut()])
def test_shortcuts_transform_what_is_carried(shortcut):
    unit, x = build(Unit((Layer(4),), join="concatenate"), 6, shortcut=shortcut), images(6)
    carried, fx = unit.branches(x)
    assert not jnp.any(fx[..., :6]) and jnp.any(fx[..., 6:])
    y = unit.shortcut(carried, fx)
    if isinstance(shortcut, NoShortcut):
        np.testing.assert_array_equal(y, fx)
    elif isinstance(shortcut, ExclusiveGating):
        g = unit.shortcut.gate(x)
        np.testing.assert_allclose(y, jnp.concatenate([(1 - g[..., :6]) * x, g[..., 6:] * fx[..., 6:]], -1), rtol=1e-6)
    else:
        assert y.shape == (3, 8, 8, 10)


@pytest.mark.parametrize("init", ["he_fan_in", "he_fan_out"])
def test_a_gate_is_drawn_as_the_networks_other_convolutions_are(init):
    """Std sqrt(2 / fan in) and sqrt(2 / fan out), which differ by a factor of 4 here."""
    gate = ExclusiveGating(gate_convolutions=2)
    settings = {"order": ORDERS["original"], "shortcut": gate, "init": init, "rngs": nnx.Rngs(0)}
    made = ResidualUnit(Unit((Layer(256),), join="concatenate"), 16, **settings).shortcut.gate
    fans = {"he_fan_in": 16, "he_fan_out": 272}
    np.testing.assert_allclose(np.std(made.first.conv.kernel), (2 / fans[init]) ** 0.5, rtol=0.05)


def test_zeros_cannot_narrow():
    with pytest.raises(UserError, match="a unit makes 4 channels of 6: channels of zeros cannot narrow x"):
        build(Unit((Layer(4),)), 6)


@pytest.mark.parametrize("stands,stood", [("always", Identity), ("equal", NoShortcut), ("never", NoShortcut)])
def test_where_a_shortcut_stands(stands, stood):
    changing = build(Unit((Layer(8, stride=2),), stands=stands), 6)
    alike = build(Unit((Layer(6),), stands=stands), 6)
    assert changing.shortcut.kind is stood
    assert alike.shortcut.kind is (NoShortcut if stands == "never" else Identity)


def test_a_long_skip_reads_an_earlier_map_and_is_cropped_to_its_size():
    unit = build(Unit((Up(5, bias=False),), join="concatenate", reads="down", activated=False), 10, 4)
    earlier, x = images(4, side=12), images(10, side=4)
    carried, fx = unit.branches((earlier, x))
    np.testing.assert_array_equal(carried, earlier[:, 2:10, 2:10])
    y = unit((earlier, x))
    np.testing.assert_array_equal(y, jnp.concatenate([carried, fx[..., 4:]], axis=-1))


def test_the_function_of_a_unit_takes_the_place_of_its_relus():
    unit = build(Unit((Layer(4),), function="relu6"), 4, order="original", shortcut=NoShortcut())
    unit.eval()
    x = 100 * images(4)
    fx = unit.residual(x)
    np.testing.assert_allclose(unit(x), jnp.clip(fx, 0, 6), rtol=1e-5)
    assert jnp.max(fx) > 6
