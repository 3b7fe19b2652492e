"""Properties of whole networks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from ablations.networks.activation import ORDERS, ActivationOrder
from ablations.networks.families.densenet import DenseNet
from ablations.networks.families.resnet import ResNet
from ablations.networks.kernels import placement, remat
from ablations.networks.kernels.convolution import use_form
from ablations.networks.layers import BatchNorm
from ablations.networks.network import Network
from ablations.networks.scaling import SHORTCUTS
from ablations.networks.streams import streams
from ablations_tests import reference
from ablations_tests.conftest import configure
from ablations_tests.drawn import drawn

NUMBERS = {"rate": 0.5, "a": 0.5, "b": 0.5}  # of dropout and of constant scaling


def build(order="original", shortcut="identity", stages=3, **design):
    """The first stages of a small residual network, with the weights that it starts from."""
    made = ResNet(**{"name": "small", "depth": 14, "branch": "basic"} | design).architecture()
    return network(replace(made, stages=made.stages[:stages]), ORDERS[order], SHORTCUTS[shortcut]())


def network(architecture, order, shortcut):
    rngs = streams(params=jax.random.key(0), dropout=jax.random.key(1))
    return Network(architecture, order, shortcut, classes=10, image_channels=1, rngs=rngs)


def abstract(*choices, **design):
    """The same network without arrays."""
    return nnx.eval_shape(lambda: build(*choices, **design))


def images(n=4, size=8):
    return np.random.default_rng(0).normal(size=(n, size, size, 1)).astype(np.float32)


def maps(size=8):
    """The input of the first stage, or an equal one of the second."""
    return np.random.default_rng(0).normal(size=(4, size, size, 16)).astype(np.float32)


def split(network, seed=0, **numbers):
    """What a network is, and arrays for it: parameters and others."""
    graphdef, params, others = nnx.split(network, nnx.Param, ...)
    return graphdef, *(drawn(nnx.as_pure(part), seed, **NUMBERS | numbers) for part in (params, others))


def loss_and_gradient(network, x):
    """Logits, what is no parameter afterwards, and the gradient, compiled; of a network without arrays."""
    graphdef, params, others = split(network)

    @jax.jit
    def value_and_grad(params, others, x):
        def loss(params):
            network = nnx.merge(graphdef, params, others)
            logits = network(x)
            labels = jnp.arange(len(x)) % 10
            changed = nnx.as_pure(nnx.state(network, nnx.Not(nnx.Param)))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits, changed)

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, (logits, changed)), gradient = value_and_grad(params, others, x)
    changed = jax.tree.map(lambda leaf: np.zeros(0) if is_key(leaf) else np.asarray(leaf), changed)
    return np.asarray(logits), changed, jax.device_get(gradient)


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def assert_same(found, expected, **tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


# Of the thirty pairs those in which each shortcut meets two orders and each order two or three shortcuts.
PAPER = [
    (shortcut, list(ORDERS)[(place + turn) % 5])
    for place, shortcut in enumerate(list(SHORTCUTS)[:6])
    for turn in (0, 2)
]
OTHERS = [
    ("none", "original"),
    ("conv1x1", "linear_bottleneck"),
    ("exclusive_gating", "without_bn"),
    ("layerscale", "original"),
]


@pytest.mark.parametrize("shortcut,order", [*PAPER, *OTHERS])
def test_every_shortcut_and_order_is_finite_after_a_step(shortcut, order):
    # Two stages of a unit: with and without a change of shape, with and without layers before it.
    logits, changed, gradient = loss_and_gradient(abstract(order, shortcut, stages=2, depth=8), images())
    assert logits.shape == (4, 10) and np.isfinite(logits).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    statistics = [leaf for path, leaf in nnx.to_flat_state(changed) if path[-1] in ("mean", "variance")]
    assert all(np.isfinite(leaf).all() for leaf in statistics)
    # Every parameter takes part: but what BN or the softmax makes immaterial, each has a gradient.
    still = [path for path, leaf in nnx.to_flat_state(gradient) if not np.any(leaf)]
    assert not still


@pytest.mark.parametrize(
    "design",
    [
        {"branch": "one_layer", "depth": 8, "stages": 2},
        # One stage has both units: one that makes 64 channels of 16, and one that changes no shape.
        {"branch": "bottleneck", "depth": 20, "stages": 1, "dimension_change": "projection"},
    ],
)
def test_other_branches_train(design):
    """A step against the gradient lowers the loss by about what the gradient promises."""
    graphdef, params, others = split(abstract("full_preactivation", "exclusive_gating", **design))

    @jax.jit
    def after_a_step(params, gradient, rate):
        """The loss, its gradient and the square of the gradient's length."""

        def loss(params):
            logits, labels = nnx.merge(graphdef, params, others)(images()), jnp.arange(4)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, found = jax.value_and_grad(loss)(jax.tree.map(lambda one, of: one - rate * of, params, gradient))
        return value, found, sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(found))

    before, gradient, squared = jax.device_get(after_a_step(params, params, np.float32(0)))
    rate = 0.01 * before / squared  # to lower the loss by a hundredth
    after, _, _ = jax.device_get(after_a_step(params, gradient, rate))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert 0.5 < (before - after) / (rate * squared) < 1.5


def test_scanned_and_unrolled_are_one_function():
    network = abstract("original", "dropout", stages=1, depth=20)
    scanned = loss_and_gradient(network, images())
    network.set_attributes(unroll=True)
    assert_same(loss_and_gradient(network, images()), scanned, atol=2e-4)


def test_a_tpus_loop_computes_the_same():
    """Where the ReLU after an addition begins the next unit."""
    network = abstract("original", "identity", stages=2, depth=14)

    def on(platform):
        with placement.placed(platform, 1), use_form("native"):
            return loss_and_gradient(network, images())

    assert_same(on("tpu"), on("cpu"), rtol=1e-4, atol=1e-5)


def test_a_loop_that_keeps_less_computes_the_same(monkeypatch):
    network = abstract("full_preactivation", "dropout", stages=1, depth=6 * 6 + 2)
    whole = loss_and_gradient(network, images())
    network.set_attributes(remat=True)
    for kept in (1, 0.2):  # of five units in the loop: groups of 2 and 1 more, and all in one
        monkeypatch.setattr(remat, "KEPT_BY_A_UNIT", kept)
        assert_same(loss_and_gradient(network, images()), whole, rtol=1e-3, atol=1e-5)


def test_units_that_stand_alone_keep_less_and_compute_the_same():
    model = DenseNet(name="dense", blocks=[2, 1], growth=4, stem="cifar", stem_filters=8)
    dense = nnx.eval_shape(lambda: network(model.architecture(), ORDERS["full_preactivation"], SHORTCUTS["dropout"]()))
    whole = loss_and_gradient(dense, images())
    dense.set_attributes(remat=True)
    assert_same(loss_and_gradient(dense, images()), whole, rtol=1e-3, atol=1e-5)
    graphdef, state = nnx.split(dense)
    traced = jax.make_jaxpr(lambda state, x: nnx.merge(graphdef, state)(x))(nnx.as_pure(state), images())
    assert sum(equation.primitive.name == "remat2" for equation in traced.jaxpr.eqns) == 3


@pytest.mark.parametrize(
    "platform,order,shortcut,maps",
    [
        ("cpu", "original", "identity", 3),  # the input and two convolutions
        ("cpu", "full_preactivation", "identity", 2),  # and the first: nothing needs the output of the second
        ("cpu", "original", "dropout", 4),  # and the mask
        ("tpu", "original", "dropout", 2),
    ],
)
def test_what_a_unit_keeps_for_its_backward_pass(platform, order, shortcut, maps):
    graphdef, params, others = nnx.split(abstract(order, shortcut, depth=6 * 3 + 2), nnx.Param, ...)

    def loss(params, others, x):
        return nnx.merge(graphdef, params, others)(x).sum()

    def scans(jaxpr):
        for equation in jaxpr.eqns:
            yield from [equation] if equation.primitive.name == "scan" else []
            for inner in jaxprs_in_params(equation.params):
                yield from scans(inner)

    with placement.placed(platform, 1):
        traced = jax.make_jaxpr(jax.grad(loss))(nnx.as_pure(params), nnx.as_pure(others), images(8))
    forward = [scan for scan in scans(traced.jaxpr) if scan.params["length"] == 2 and not scan.params["reverse"]]
    # What a loop keeps has an axis over its steps; what it carries has not.
    kept = [[out.aval for out in scan.outvars if out.aval.shape[:1] == (2,)] for scan in forward]
    sizes = [2 * 8 * 8 * 8 * 16, 2 * 8 * 4 * 4 * 32, 2 * 8 * 2 * 2 * 64]
    found = [sum(aval.size == size for aval in avals) for avals, size in zip(kept, sizes, strict=True)]
    assert found == [maps] * 3


def test_memory_grows_with_the_root_of_depth_where_less_is_kept():
    def temporary(depth, less):
        """Of one stage, for 256 images."""
        stage = abstract("full_preactivation", stages=1, depth=depth).stages[0]
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
    stage = build(stages=2, depth=20).stages[1]
    kernels = np.asarray(stage.rest.convolutions[0].kernel[...])
    assert not np.allclose(kernels[0], kernels[1]), "each unit has weights of its own"

    @nnx.jit
    def both(stage, x):
        graphdef, state = nnx.split(stage.rest)
        y = stage.first(x)
        for i in range(2):
            y = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[i], state))(y)  # noqa: B023
        return stage(x), y

    np.testing.assert_allclose(*both(stage, maps()), atol=1e-5)


def test_depth_does_not_grow_the_program():
    """What XLA compiles is as large for 110 layers as for 20, so time to the first step is flat."""

    def size(depth):
        graphdef, params, others = nnx.split(abstract(depth=depth), nnx.Param, ...)

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
    graphdef, params, others = split(abstract(order, stages=1).stages[0], mean=0, shift=0)
    last = ("convolutions", 1, "kernel")
    params = [(path, leaf * (path[-3:] != last)) for path, leaf in nnx.to_flat_state(params)]
    params = nnx.from_flat_state(params)
    out = jax.jit(lambda x: nnx.merge(graphdef, params, others)(x))(maps())
    np.testing.assert_array_equal(out, maps() if passes else reference.relu(maps()))


def test_the_first_activation_comes_before_the_first_split():
    network = abstract("full_preactivation", stages=2)
    assert network.stages[0].first.before.sequence == ()
    assert network.stages[0].rest.before.sequence == ("bn", "relu")
    assert network.stages[1].first.before.sequence == ("bn", "relu")
    assert network.head_activation.sequence == ("bn", "relu")
    assert abstract("original", stages=1).head_activation.sequence == ()
    for order in ORDERS:
        with_bn = ("bn", "relu") if order != "without_bn" else ("relu",)
        assert abstract(order, stages=1).stem_activation.sequence == with_bn


def reads_activated(**switches):
    stages = abstract("full_preactivation", stages=2, **switches).stages
    return [unit.shortcut_reads_activated for stage in stages for unit in (stage.first, stage.rest)]


def test_what_the_shortcut_reads_where_the_shape_changes():
    nowhere, changes = [False] * 4, [False, False, True, False]
    assert reads_activated() == nowhere
    assert reads_activated(zero_padding_reads_activated=True) == changes
    assert reads_activated(dimension_change="projection") == changes
    assert reads_activated(dimension_change="projection", projection_reads_activated=False) == nowhere


def test_the_stride_of_a_bottleneck():
    def strides(where):
        made = abstract(depth=11, branch="bottleneck", bottleneck_stride=where, stages=2)
        return [conv.stride for conv in made.stages[1].first.convolutions]

    assert strides("first_1x1") == [2, 1, 1]
    assert strides("3x3") == [1, 2, 1]


@pytest.mark.parametrize("padding,where", [("end", slice(0, 16)), ("both", slice(8, 24))])
def test_the_channels_of_zeros(padding, where):
    unit = abstract(depth=8, stages=2, padding=padding).stages[1].first
    x = maps()
    y = np.asarray(unit.shortcut(x, np.zeros((4, 4, 4, 32), np.float32)))
    np.testing.assert_array_equal(y[..., where], x[:, ::2, ::2])
    assert np.count_nonzero(y) == np.count_nonzero(y[..., where])


def test_the_tutorial_network():
    config = configure("model=tutorial44")
    recipe = config.recipe
    assert config.activation == ORDERS["full_preactivation"]
    assert (recipe.weight_decay_on, recipe.weight_decay, recipe.bn_momentum) == ("unit_convolutions", 2e-4, 0.99)
    order, shortcut = config.activation, SHORTCUTS["identity"]()
    whole = nnx.eval_shape(lambda: network(config.model.architecture(), order, shortcut))
    assert whole.stem_activation.sequence == ()
    assert whole.stages[0].first.before.sequence == ("bn", "relu")
    assert whole.stages[1].first.shortcut.h.conv.kernel.shape == (3, 3, 16, 32)
    assert not whole.stages[1].first.shortcut_reads_activated
    assert [1 + stage.rest.convolutions[0].kernel.shape[0] for stage in whole.stages] == [7, 7, 7]
    assert {bn.epsilon for _, bn in nnx.iter_modules(whole) if isinstance(bn, BatchNorm)} == {1e-3}
    made = replace(config.model, depth=8).architecture()
    small = network(replace(made, stages=made.stages[:2]), order, shortcut)
    for kernel in (small.stem.kernel[...], small.stages[1].first.shortcut.h.conv.kernel[...]):
        kernel, limit = abs(np.asarray(kernel)), np.sqrt(6 / (9 * sum(kernel.shape[2:])))
        assert 0.95 * limit < kernel.max() <= limit  # uniform; Glorot and Bengio 2010
        assert kernel.mean() == pytest.approx(limit / 2, rel=0.2)
    assert configure("model=tutorial44", "activation=original").activation.name == "original"


def test_gradients_through_shortcuts_are_the_product_of_eqn_8():
    """With F = 0 and linear units, dE/dx_l is prod lambda_i times dE/dx_L."""
    lam, linear = 0.9, ActivationOrder("linear", [], [], [], [])
    made = ResNet(name="net", depth=110, branch="basic").architecture()
    made, scaling = replace(made, stages=made.stages[:1]), SHORTCUTS["constant_scaling"]()
    stage = nnx.eval_shape(lambda: network(made, linear, scaling)).stages[0]
    graphdef, *arrays = split(stage, a=lam, b=0)

    @jax.jit
    def pulled(x):
        y, pull = jax.vjp(lambda x: nnx.merge(graphdef, *arrays)(x), x)
        return pull(jnp.ones_like(y))[0]

    np.testing.assert_allclose(pulled(maps()), np.full(maps().shape, lam**18), rtol=1e-5)


def test_a_network_without_shortcuts_is_one_with_0_on_them():
    @jax.jit
    def both(x):
        made = (split(abstract("original", shortcut, stages=2), a=0, b=1) for shortcut in ("none", "constant_scaling"))
        return [nnx.merge(*parts)(x) for parts in made]

    np.testing.assert_allclose(*both(images()), rtol=1e-5, atol=1e-6)
