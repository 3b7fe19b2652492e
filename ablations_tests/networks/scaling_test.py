"""Shortcuts with trained numbers: equations against numpy, where they start, what is trained."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.errors import UserError
from ablations.networks.activation import ORDERS
from ablations.networks.architecture import Layer, Match, Parallel, Unit
from ablations.networks.families.resnet import ResNet
from ablations.networks.network import Network
from ablations.networks.scaling import Fixup, LayerScale, ReZero
from ablations.networks.skip import Skip
from ablations.networks.unit import ResidualUnit
from ablations_tests import reference
from ablations_tests.conftest import configure

CHANNELS = np.linspace(-1, 1, 10, dtype=np.float32)  # d of each channel
EQUATIONS = {
    "rezero": (ReZero(), {"a": 0.3}, lambda h, fx: h + 0.3 * fx),
    "layerscale": (LayerScale(), {"d": CHANNELS}, lambda h, fx: h + CHANNELS.reshape(1, 1, 1, -1) * fx),
    "fixup": (Fixup(), {"a": 0.3, "b": -2.0}, lambda h, fx: h + 0.3 * fx - 2),
}


def made(shortcut, channels=6, stride=2):
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 8, 8, channels)).astype(np.float32)
    fx = random.normal(size=(3, 8 // stride, 8 // stride, 10)).astype(np.float32)
    skip = Skip(shortcut, (channels, 10, stride), Match(), bn=True, rngs=nnx.Rngs(0))
    return skip, x, fx, reference.option_a(x, 10, stride)


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("shape", [(6, 2), (10, 1)])
def test_the_equation(name, shape):
    shortcut, numbers, equation = EQUATIONS[name]
    skip, x, fx, h = made(shortcut, *shape)
    for number, value in numbers.items():
        assert getattr(skip, number).shape == np.shape(value)
        getattr(skip, number)[...] = jnp.asarray(value)
    np.testing.assert_allclose(skip(x, fx), equation(h, fx), atol=1e-5, rtol=1e-5)
    half = skip(jnp.asarray(x, jnp.bfloat16), jnp.asarray(fx, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16, "a number must not widen what it is multiplied with"


@pytest.mark.parametrize("chosen,starts", [
    ("rezero", {"a": 0}), ("skipinit", {"a": 0}), ("layerscale", {"d": 1e-4}), ("fixup", {"a": 1, "b": 0}),
])  # fmt: skip
def test_where_the_numbers_start_and_that_the_gradient_reaches_them(chosen, starts):
    shortcut = configure(f"shortcut={chosen}").shortcut
    skip, x, fx, _ = made(shortcut)
    graphdef, params = nnx.split(skip, nnx.Param)
    gradient = jax.grad(lambda params: jnp.sum(jnp.square(nnx.merge(graphdef, params)(x, fx))))(params)
    assert params.keys() == starts.keys() == gradient.keys()
    for name, start in starts.items():
        np.testing.assert_array_equal(params[name][...], np.float32(start))
        assert jnp.all(gradient[name][...] != 0)
    assert shortcut.scale == 1


def test_another_start():
    assert made(ReZero(start=0.25))[0].a[...] == 0.25
    np.testing.assert_array_equal(made(LayerScale(start=0.5))[0].d[...], np.full(10, 0.5, np.float32))


def test_a_unit_starts_as_the_identity():
    """ReZero by a = 0, Fixup by its last convolution: x' = f(h(x)) to the bit."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 10)), jnp.float32)
    for shortcut in (ReZero(), Fixup()):
        settings = {"order": ORDERS["without_bn"], "init": "he_fan_out", "rngs": nnx.Rngs(0)}
        unit = ResidualUnit(Unit((Layer(10), Layer(10))), 10, shortcut=shortcut, **settings)
        np.testing.assert_array_equal(unit(x), nnx.relu(x))
        assert jnp.any(unit.convolutions[0].kernel[...])


def network(shortcut):
    """Of two units, the second of them a stack."""
    made = ResNet(name="small", depth=20, branch="bottleneck").architecture()
    settings = {"classes": 10, "image_channels": 1, "rngs": nnx.Rngs(0)}
    return Network(replace(made, stages=made.stages[:1]), ORDERS["without_bn"], shortcut, **settings)


def test_fixups_start():
    """Zhang et al. 2019: the last convolution of m at 0, the others times L^(-1 / (2m - 2)), also in a stack's loop."""
    ours, usual = network(Fixup()), network(ReZero())
    for part in ("first", "rest"):
        kernels, others = (
            [np.asarray(convolution.kernel[...]) for convolution in getattr(made.stages[0], part).convolutions]
            for made in (ours, usual)
        )
        for kernel, other in zip(kernels[:2], others[:2], strict=True):
            np.testing.assert_allclose(kernel, other * 2 ** (-1 / 4), rtol=1e-6)
        assert not np.any(kernels[2]) and np.any(others[2])
    np.testing.assert_array_equal(ours.stem.kernel, usual.stem.kernel)
    assert Fixup().branch_start(2, 54) == (54**-0.5, 0) and Fixup().branch_start(1, 54) == (0,)
    assert Fixup().branch_start(0, 54) == () and ReZero().branch_start(2, 54) is None


def test_an_f_of_parallel_branches_starts_as_usual_and_learns():
    """A 0 before them would stay 0 for good: it passes through ReLUs, which let no gradient through at 0."""
    fire = Unit((Layer(4, 1, bias=True), Parallel(((Layer(5, 1, bias=True),), (Layer(5, bias=True),)))))
    settings = {"order": ORDERS["without_bn"], "init": "he_fan_in", "rngs": nnx.Rngs(0), "units": 8}
    unit = ResidualUnit(fire, 10, shortcut=Fixup(), **settings)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 10)), jnp.float32)
    graphdef, params = nnx.split(unit, nnx.Param)
    gradient = jax.grad(lambda params: jnp.sum(jnp.square(nnx.merge(graphdef, params)(x))))(params)
    assert all(jnp.any(leaf) for leaf in jax.tree.leaves(gradient))
    usual = ResidualUnit(fire, 10, shortcut=ReZero(), **(settings | {"rngs": nnx.Rngs(0)}))
    np.testing.assert_array_equal(unit.convolutions[0].kernel, usual.convolutions[0].kernel)


def test_fixup_is_refused_where_a_relu_ends_f():
    with pytest.raises(UserError, match="shortcut=fixup: activation=relu_before_addition ends F in a ReLU"):
        configure("shortcut=fixup", "activation=relu_before_addition")
    assert [name for name, order in ORDERS.items() if Fixup().refusal(order)] == ["relu_before_addition"]
