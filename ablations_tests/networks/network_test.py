"""Properties of whole networks."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from ablations.networks.activation import ORDERS
from ablations.networks.families.densenet import DenseNet
from ablations.networks.families.resnet import ResNet
from ablations.networks.kernels import remat
from ablations.networks.kernels.convolution import use_form
from ablations.networks.layers import BatchNorm
from ablations.networks.network import Network
from ablations.networks.scaling import SHORTCUTS
from ablations.networks.shortcut import ExclusiveGating, Identity
from ablations_tests import reference

SMALL = ResNet(name="small", depth=14, branch="basic")


def build(model=SMALL, order="original", shortcut=None, seed=0):
    return Network(
        model.architecture(),
        ORDERS[order],
        shortcut or Identity(),
        classes=10,
        image_channels=1,
        rngs=nnx.Rngs(params=seed, dropout=seed + 1),
    )


def images(n=4, size=8):
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, size, size, 1)), jnp.float32)


def loss_and_gradient(network, x):
    """Logits, what is no parameter afterwards, and the gradient, compiled."""
    graphdef, params, others = nnx.split(network, nnx.Param, ...)

    @jax.jit
    def value_and_grad(params, others, x):
        def loss(params):
            network = nnx.merge(graphdef, params, others)
            logits = network(x)
            labels = jnp.arange(len(x)) % 10
            changed = nnx.as_pure(nnx.state(network, nnx.Not(nnx.Param)))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits, changed)

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, (logits, changed)), gradient = value_and_grad(nnx.as_pure(params), nnx.as_pure(others), x)
    return logits, changed, gradient


PAPER = itertools.product(list(SHORTCUTS)[:6], list(ORDERS)[:5])
OTHERS = [
    ("none", "original"),
    ("conv1x1", "linear_bottleneck"),
    ("exclusive_gating", "without_bn"),
    ("layerscale", "original"),
]


@pytest.mark.parametrize("shortcut,order", [*PAPER, *OTHERS])
def test_all_thirty_combinations_are_finite_after_a_step(shortcut, order):
    # One unit a stage: with and without a change of shape, with and without layers before it, as the stacked ones.
    network = build(ResNet(name="small", depth=8, branch="basic"), order, SHORTCUTS[shortcut]())
    logits, changed, gradient = loss_and_gradient(network, images())
    assert logits.shape == (4, 10) and np.isfinite(logits).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    statistics = [leaf for path, leaf in nnx.to_flat_state(changed) if path[-1] in ("mean", "variance")]
    assert all(np.isfinite(leaf).all() for leaf in statistics)
    # Every parameter takes part: but what BN or the softmax makes immaterial, each has a gradient.
    still = [path for path, leaf in nnx.to_flat_state(gradient) if not np.any(leaf)]
    assert not still


@pytest.mark.parametrize("branch,depth", [("one_layer", 14), ("bottleneck", 20)])
def test_other_branches_train(branch, depth):
    """A step against the gradient lowers the loss by about what the gradient promises."""
    change = "projection" if branch == "bottleneck" else "zero_padding"
    network = build(
        ResNet(name="small", depth=depth, branch=branch, dimension_change=change),
        "full_preactivation",
        ExclusiveGating(),
    )
    graphdef, params, others = nnx.split(network, nnx.Param, ...)
    others = nnx.as_pure(others)

    @jax.jit
    def after_a_step(params, gradient, rate):
        """The loss, its gradient and the square of the gradient's length."""

        def loss(params):
            logits, labels = nnx.merge(graphdef, params, others)(images()), jnp.arange(4)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, found = jax.value_and_grad(loss)(jax.tree.map(lambda one, of: one - rate * of, params, gradient))
        return value, found, sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(found))

    params = nnx.as_pure(params)
    before, gradient, squared = after_a_step(params, params, jnp.float32(0))
    rate = 0.01 * before / squared  # to lower the loss by a hundredth
    after, _, _ = after_a_step(params, gradient, rate)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert 0.5 < (before - after) / (rate * squared) < 1.5


def test_scanned_and_unrolled_are_one_function():
    network = build(ResNet(name="small", depth=20, branch="basic"), shortcut=SHORTCUTS["dropout"]())
    scanned = loss_and_gradient(network, images())
    network.set_attributes(unroll=True)
    unrolled = loss_and_gradient(network, images())
    for one, other in zip(jax.tree.leaves(scanned), jax.tree.leaves(unrolled), strict=True):
        if not jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_a_loop_that_keeps_less_computes_the_same(monkeypatch):
    network = build(ResNet(name="small", depth=6 * 6 + 2, branch="basic"), "full_preactivation", SHORTCUTS["dropout"]())
    whole = loss_and_gradient(network, images())
    network.set_attributes(remat=True)
    for kept in (3, 0.5):  # groups of 2 and 1 more, and all in one
        monkeypatch.setattr(remat, "KEPT_BY_A_UNIT", kept)
        less = loss_and_gradient(network, images())
        for one, other in zip(jax.tree.leaves(less), jax.tree.leaves(whole), strict=True):
            if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_units_that_stand_alone_keep_less_and_compute_the_same():
    model = DenseNet(name="dense", blocks=[2, 1], growth=4, stem="cifar", stem_filters=8)
    network = build(model, "full_preactivation", SHORTCUTS["dropout"]())
    whole = loss_and_gradient(network, images())
    network.set_attributes(remat=True)
    for one, other in zip(jax.tree.leaves(loss_and_gradient(network, images())), jax.tree.leaves(whole), strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    graphdef, state = nnx.split(network)
    traced = jax.make_jaxpr(lambda state, x: nnx.merge(graphdef, state)(x))(nnx.as_pure(state), images())
    assert sum(equation.primitive.name == "remat2" for equation in traced.jaxpr.eqns) == 3


@pytest.mark.parametrize(
    "order,shortcut,maps",
    [
        ("original", "identity", 3),  # the input and two convolutions
        ("full_preactivation", "identity", 2),  # the input and the first convolution: nothing needs the second's output
        ("original", "dropout", 4),  # and the mask
    ],
)
def test_what_a_unit_keeps_for_its_backward_pass(order, shortcut, maps):
    network = build(ResNet(name="small", depth=6 * 3 + 2, branch="basic"), order, SHORTCUTS[shortcut]())
    graphdef, params, others = nnx.split(network, nnx.Param, ...)

    def loss(params, others, x):
        return nnx.merge(graphdef, params, others)(x).sum()

    def scans(jaxpr):
        for equation in jaxpr.eqns:
            yield from [equation] if equation.primitive.name == "scan" else []
            for inner in jaxprs_in_params(equation.params):
                yield from scans(inner)

    traced = jax.make_jaxpr(jax.grad(loss))(nnx.as_pure(params), nnx.as_pure(others), images(8))
    forward = [scan for scan in scans(traced.jaxpr) if scan.params["length"] == 2 and not scan.params["reverse"]]
    # What a loop keeps has an axis over its steps; what it carries has not.
    kept = [[out.aval for out in scan.outvars if out.aval.shape[:1] == (2,)] for scan in forward]
    sizes = [2 * 8 * 8 * 8 * 16, 2 * 8 * 4 * 4 * 32, 2 * 8 * 2 * 2 * 64]
    found = [sum(aval.size == size for aval in avals) for avals, size in zip(kept, sizes, strict=True)]
    assert found == [maps] * 3


def test_memory_grows_with_the_root_of_depth_where_less_is_kept():
    def temporary(depth, less):
        """Of one of the three stages, for 256 images."""
        stage = nnx.eval_shape(
            lambda: build(ResNet(name="deep", depth=depth, branch="basic"), "full_preactivation")
        ).stages[0]
        stage.set_attributes(remat=less)
        graphdef, params, others = nnx.split(stage, nnx.Param, ...)

        def loss(params, others, x):
            return nnx.merge(graphdef, params, others)(x).sum()

        x = jax.ShapeDtypeStruct((256, 8, 8, 16), jnp.float32)
        shapes = nnx.as_pure(params), nnx.as_pure(others), x
        return jax.jit(jax.grad(loss)).lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    shallow, deep = 6 * 16 + 2, 6 * 64 + 2
    needed = {(depth, less): temporary(depth, less) for depth in (shallow, deep) for less in (False, True)}
    assert needed[deep, False] > 3 * needed[shallow, False]
    assert needed[deep, True] < 2.5 * needed[shallow, True]
    assert needed[deep, True] - needed[shallow, True] < (needed[deep, False] - needed[shallow, False]) / 4


def test_a_stack_is_its_units_one_after_the_other():
    stage = build(ResNet(name="small", depth=26, branch="basic")).stages[1]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 16)), jnp.float32)
    graphdef, state = nnx.split(stage.rest)
    kernels = stage.rest.convolutions[0].kernel
    assert not np.allclose(kernels[0], kernels[1]), "each unit has weights of its own"
    y = stage.first(x)
    for i in range(kernels.shape[0]):
        unit = nnx.merge(graphdef, jax.tree.map(lambda leaf, i=i: leaf[i], state))
        y = unit(y)
    np.testing.assert_allclose(stage(x), y, atol=1e-5)


def test_depth_does_not_grow_the_program():
    """What XLA compiles is as large for 110 layers as for 20, so time to the first step is flat."""

    def size(depth):
        network = nnx.eval_shape(lambda: build(ResNet(name="net", depth=depth, branch="basic")))
        graphdef, params, others = nnx.split(network, nnx.Param, ...)

        def loss(params, others, x):
            return nnx.merge(graphdef, params, others)(x).sum()

        with use_form("loop"):
            jaxpr = jax.make_jaxpr(jax.grad(loss))(nnx.as_pure(params), nnx.as_pure(others), images())
            return str(jaxpr).count(" = ")

    assert size(20) == size(110)


@pytest.mark.parametrize(
    "order,passes", [("full_preactivation", True), ("relu_only_preactivation", True), ("original", False)]
)
def test_with_f_zero_preactivation_leaves_the_signal_alone(order, passes):
    """With F = 0 and h, f identities, x_L = x_l (Eqn. 4); the original order cuts off what is negative."""
    stage = build(order=order).stages[0]
    for unit in (stage.first, stage.rest):
        unit.convolutions[-1].kernel[...] = jnp.zeros_like(unit.convolutions[-1].kernel[...])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 16)), jnp.float32)
    out = stage.rest and stage(x) if order != "full_preactivation" else stage(x)
    same = np.array_equal(out, x)
    assert same is passes
    if not passes:
        np.testing.assert_array_equal(out, reference.relu(x))


def test_the_first_activation_comes_before_the_first_split():
    network = build(order="full_preactivation")
    assert network.stages[0].first.before.sequence == ()
    assert network.stages[0].rest.before.sequence == ("bn", "relu")
    assert network.stages[1].first.before.sequence == ("bn", "relu")
    assert network.head_activation.sequence == ("bn", "relu")
    assert build(order="original").head_activation.sequence == ()
    for order in ORDERS:
        with_bn = ("bn", "relu") if order != "without_bn" else ("relu",)
        assert build(order=order).stem_activation.sequence == with_bn


def reads_activated(**switches):
    model = ResNet(name="small", depth=14, branch="basic", **switches)
    stages = build(model, "full_preactivation").stages
    return [unit.shortcut_reads_activated for stage in stages for unit in (stage.first, stage.rest)]


def test_what_the_shortcut_reads_where_the_shape_changes():
    nowhere, changes = [False] * 6, [False, False, True, False, True, False]
    assert reads_activated() == nowhere
    assert reads_activated(zero_padding_reads_activated=True) == changes
    assert reads_activated(dimension_change="projection") == changes
    assert reads_activated(dimension_change="projection", projection_reads_activated=False) == nowhere


def test_the_stride_of_a_bottleneck():
    def strides(where):
        model = ResNet(name="small", depth=20, branch="bottleneck", bottleneck_stride=where)
        return [conv.stride for conv in build(model).stages[1].first.convolutions]

    assert strides("first_1x1") == [2, 1, 1]
    assert strides("3x3") == [1, 2, 1]


@pytest.mark.parametrize("padding,where", [("end", slice(0, 16)), ("both", slice(8, 24))])
def test_the_channels_of_zeros(padding, where):
    unit = build(ResNet(name="small", depth=14, branch="basic", padding=padding)).stages[1].first
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    y = np.asarray(unit.shortcut(x, jnp.zeros((2, 4, 4, 32))))
    np.testing.assert_array_equal(y[..., where], x[:, ::2, ::2])
    assert np.count_nonzero(y) == np.count_nonzero(y[..., where])


def test_the_tutorial_network():
    from ablations_tests.conftest import configure

    config = configure("model=tutorial44")
    recipe = config.recipe
    assert config.activation == ORDERS["full_preactivation"]
    assert (recipe.weight_decay_on, recipe.weight_decay, recipe.bn_momentum) == ("unit_convolutions", 2e-4, 0.99)
    network = nnx.eval_shape(lambda: build(config.model, config.activation.name))
    assert network.stem_activation.sequence == ()
    assert network.stages[0].first.before.sequence == ("bn", "relu")
    assert network.stages[1].first.shortcut.h.conv.kernel.shape == (3, 3, 16, 32)
    assert not network.stages[1].first.shortcut_reads_activated
    assert [1 + stage.rest.convolutions[0].kernel.shape[0] for stage in network.stages] == [7, 7, 7]
    assert {bn.epsilon for _, bn in nnx.iter_modules(network) if isinstance(bn, BatchNorm)} == {1e-3}
    made = build(replace(config.model, depth=8), "full_preactivation")
    for kernel in (made.stem.kernel[...], made.stages[1].first.shortcut.h.conv.kernel[...]):
        limit = np.sqrt(6 / (9 * sum(kernel.shape[2:])))  # uniform; Glorot and Bengio 2010
        assert 0.95 * limit < jnp.abs(kernel).max() <= limit and abs(kernel).mean() == pytest.approx(limit / 2, rel=0.2)
    assert configure("model=tutorial44", "activation=original").activation.name == "original"


def test_gradients_through_shortcuts_are_the_product_of_eqn_8():
    """With F = 0 and linear units, dE/dx_l is prod lambda_i times dE/dx_L."""
    from ablations.networks.shortcut import ConstantScaling

    lam, linear = 0.9, type(ORDERS["original"])("linear", [], [], [], [])
    model = ResNet(name="net", depth=110, branch="basic").architecture()
    network = Network(
        model, linear, ConstantScaling(shortcut_scale=lam, residual_scale=0.0),
        classes=10, image_channels=1, rngs=nnx.Rngs(0),
    )  # fmt: skip
    stage = network.stages[0]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 16)), jnp.float32)
    graphdef, state = nnx.split(stage)
    y, pull = jax.vjp(lambda x: nnx.merge(graphdef, nnx.as_pure(state))(x), x)
    cotangent = jnp.ones_like(y)
    np.testing.assert_allclose(pull(cotangent)[0], lam**18 * cotangent, rtol=1e-5)


def test_a_network_without_shortcuts_is_one_with_0_on_them():
    model, x = ResNet(name="small", depth=14, branch="basic"), images()
    without = build(model, shortcut=SHORTCUTS["none"]())
    zero = build(model, shortcut=SHORTCUTS["constant_scaling"](shortcut_scale=0.0, residual_scale=1.0))
    np.testing.assert_allclose(without(x), zero(x), rtol=1e-5, atol=1e-6)
