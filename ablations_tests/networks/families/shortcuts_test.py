"""Every shortcut in every family: finite, where it may stand, and what a concatenation is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.networks.network import Network
from ablations.networks.scaling import SHORTCUTS
from ablations.networks.streams import streams
from ablations_tests.conftest import configure
from ablations_tests.drawn import drawn

SMALL = {  # of each family but MobileNet v3, whose counts with shortcuts are tests, the smallest network with units that change the shape and units that do not
    "vgg": ["model=vgg110_digits", "model.layers=[3,4]", "model.widths=[4,8]"],
    "alexnet": ["model=alexnet_cifar", "data=cifar10"],
    "googlenet": ["model=googlenet_digits", "model.modules=1", "model.widths=[16,32]"],
    "densenet": ["model=densenet40_12", "model.blocks=[2,1]", "model.growth=4", "model.dropout=0.2"],
    "resnext": ["model=resnext110_digits", "model.depth=11"],
    "wide_resnet": ["model=wrn_16_4", "model.depth=10", "model.width_factor=2", "model.dropout=0.3"],
    "xception": ["model=xception_digits", "model.modules=1", "model.widths=[8,16]"],
    "mobilenet_v1": ["model=mobilenet_v1_digits", "model.rows=[[8,2,1],[16,1,2]]", "model.stem_filters=8"],
    "mobilenet_v2": ["model=mobilenet_v2_digits", "model.rows=[[2,8,2,1],[2,16,1,2]]", "model.stem_filters=8"],
}


RUN = {"vgg": "none", "densenet": "dropout", "mobilenet_v2": "exclusive_gating", "googlenet": "conv1x1"}


def value_and_gradient(config, shortcut):
    """A loss and its gradient, as a function of the parameters; and the parameters."""
    described = config.model.architecture(), config.activation, SHORTCUTS[shortcut]()
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    network = nnx.eval_shape(lambda: Network(*described, classes=10, image_channels=1, rngs=streams(**rngs)))
    graphdef, params, others = nnx.split(network, nnx.Param, ...)
    params, others = (drawn(nnx.as_pure(part), rate=0.3) for part in (params, others))
    side = 32 if config.model.name == "alexnet_cifar" else 8
    x = np.random.default_rng(0).normal(size=(4, side, side, 1)).astype(np.float32)

    def loss(params):
        return jnp.square(nnx.merge(graphdef, params, others)(x)).mean()

    return jax.value_and_grad(loss), params


@pytest.mark.parametrize("family", SMALL)
def test_shortcuts_with_layers_fit_into_every_family(family):
    function, params = value_and_gradient(configure(*SMALL[family]), "conv1x1")
    jax.eval_shape(function, params)


@pytest.mark.parametrize("family", RUN)
def test_networks_are_finite_and_learn_all_their_weights(family):
    function, params = value_and_gradient(configure(*SMALL[family]), RUN[family])
    value, gradient = jax.jit(function)(params)
    for path, leaf in nnx.to_flat_state(jax.device_get(gradient)):
        assert np.isfinite(leaf).all(), path
        before_bn = path[-1] == "bias" and path[0] not in ("head", "hidden")  # which BN takes away again
        assert before_bn or np.any(leaf), path
    assert value > 0
