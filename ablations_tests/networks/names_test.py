"""The names of layers in the order of the computation."""

import jax
import numpy as np
import pytest
from flax import nnx

from ablations.networks import names
from ablations.networks.network import Network
from ablations.training import weights
from ablations_tests.conftest import configure

MODELS = {
    "tutorial44 model.depth=8": "digits",
    "xception_digits": "digits",
    "unet_digits": "digits_mask",
} | dict.fromkeys(
    (
        "googlenet_torchvision model.auxiliary=torchvision",
        "mobilenet_v3_small",
        "alexnet_owt",
        "densenet_bc_100_12 model.blocks=[2,1]",
    ),
    "imagenet",
)


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_of_a_file_has_its_place(model):
    config = configure(*f"model={model} data={MODELS[model]}".split())
    architecture = config.model.architecture()
    network = nnx.eval_shape(
        lambda: Network(
            architecture, config.activation, config.shortcut, classes=10, image_channels=1, rngs=nnx.Rngs(0)
        )
    )
    params, others = (
        jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), nnx.as_pure(nnx.state(network, kind)))
        for kind in (nnx.Param, nnx.BatchStat)
    )
    made = names.tensors(architecture, config.activation)
    assert sorted(made) == sorted(weights.named_tensors(params, others, architecture))
    assert len(set(made)) == len(made)


def test_the_order_is_that_of_the_computation():
    config = configure("model=resnet50")
    made = [name for name in names.tensors(config.model.architecture(), config.activation) if name.endswith("weight")]
    unit = "stages.0.units.0"
    assert made[:10] == ["stem.weight", "stem_activation.bn.weight"] + [
        f"{unit}.{part}.weight"
        for part in (
            *("convolutions.0", "activations.0.bn", "convolutions.1", "activations.1.bn", "convolutions.2"),
            *("activations.2.bn", "shortcut.h.conv", "shortcut.h.bn"),
        )
    ]
    assert made[-1] == "head.weight"
