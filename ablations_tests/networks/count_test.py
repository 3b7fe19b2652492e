"""Parameters and multiply-adds against published figures."""

import pytest
from flax import nnx

from ablations import randomness
from ablations.networks import count
from ablations.networks.network import Network
from ablations.networks.streams import streams
from ablations_tests.conftest import configure


def abstract(*overrides, classes=10, channels=3):
    config = configure(*overrides)
    described = config.model.architecture(), config.activation, config.shortcut
    sizes = {"classes": classes, "image_channels": channels}
    return nnx.eval_shape(lambda: Network(*described, **sizes, rngs=streams(**randomness.network_keys(0))))


PRE = "activation=full_preactivation"
CIFAR = [  # overrides, parameters, millions of multiply-adds at 32x32
    (["model=resnet20"], 269_722, "40.6"),
    (["model=resnet32"], 464_154, "68.9"),
    (["model=resnet44"], 658_586, "97.2"),
    (["model=resnet56"], 853_018, "125.5"),
    (["model=resnet110"], 1_727_962, "252.9"),
    (["model=resnet110", PRE], 1_727_962, "252.9"),
    (["model=resnet110", "shortcut=conv1x1"], 1_826_202, "266.8"),
    (["model=resnet110", "shortcut=exclusive_gating"], 1_824_186, "266.8"),
    (["model=resnet110", "shortcut=shortcut_only_gating"], 1_824_186, "266.8"),
    (["model=resnet110", "shortcut=dropout"], 1_727_962, "252.9"),
    (["model=resnet110", "shortcut=constant_scaling"], 1_727_962, "252.9"),
    (["model=resnet164", PRE], 1_703_258, "244.5"),
    (["model=resnet164"], 1_704_154, "244.5"),
    (["model=resnet1001", PRE], 10_327_706, "1487.8"),
    (["model=resnet1001"], 10_328_602, "1487.8"),
]


@pytest.mark.parametrize("overrides,parameters,macs", CIFAR)
def test_cifar_networks(overrides, parameters, macs):
    network = abstract(*overrides)
    assert count.parameters(network) == parameters
    assert f"{count.macs(network, (32, 32, 3)) / 1e6:.1f}" == macs


def test_resnet1202():
    network = abstract("model=resnet1202")
    assert count.parameters(network) == 19_421_274
    assert round(count.macs(network, (32, 32, 3)) / 1e6) == 2829


@pytest.mark.parametrize("model,parameters", [("resnet164", 1_726_388), ("resnet1001", 10_350_836)])
def test_cifar100(model, parameters):
    assert count.parameters(abstract(f"model={model}", PRE, classes=100)) == parameters


@pytest.mark.parametrize(
    "model,parameters",
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
    ],
)
def test_imagenet_networks(model, parameters):
    assert count.parameters(abstract(f"model={model}", classes=1000)) == parameters


def test_one_image_channel_costs_288_parameters_less():
    assert count.parameters(abstract("model=resnet110", channels=1)) == 1_727_962 - 288


def test_one_layer_units_are_108():
    network = abstract("model=resnet110_1layer")
    assert sum(1 + stage.rest.convolutions[0].kernel.shape[0] for stage in network.stages) == 108
