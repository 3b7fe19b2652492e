"""A program is in the form of the platform it is for, wherever it is made."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from ablations.networks.activation import ORDERS
from ablations.networks.layers import Conv
from ablations.networks.shortcut import SHORTCUTS
from ablations.training import restore
from ablations.training.devices import AbsentDevice, Devices
from ablations.training.programs import Programs, steps_per_call
from ablations.training.steps import Steps
from ablations_tests.conftest import configure

TRACED = 1 + 3 * (2 + 2)  # convolutions of ResNet-20: the stem, and of each stage the first unit and those of the loop

FORWARD, OF_X, OF_KERNEL = "[b, 0, 1, f]x[0, 1, i, o]", "[b, 0, 1, f]x[0, 1, o, i]", "[f, 0, 1, b]x[i, 0, 1, o]"


def lowered(devices: Devices, count: int, *overrides: str) -> str:
    """The StableHLO of so many steps on CIFAR-10, of which there are no images here."""
    config = configure("model=resnet20", "data=cifar10", "recipe=paper", *overrides)
    steps = Steps(config, restore.without_images(config.data), devices)
    return steps.programs.lower(steps.trace_train(count)).as_text()


def convolutions(text: str) -> Counter:
    """How many there are of each kind, by what it says of its dimensions: (batch, ...)x(...) that it reads."""
    return Counter(re.findall(r"stablehlo\.convolution\(.*?dim_numbers = (.*?)->", text))


def test_the_platform_decides_how_many_steps_a_call_makes():
    config = configure("recipe=paper", "data=cifar10")
    assert [steps_per_call(config, 0, platform) for platform in ("cpu", "cuda", "gpu", "tpu")] == [1, 100, 100, 100]
    assert steps_per_call(configure("recipe=imagenet", "data=imagenet"), 0, "gpu") == 1, (
        "its images come one call at a time"
    )


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
def test_a_program_for_an_accelerator_is_made_without_one(platform):
    text = lowered(Devices((AbsentDevice(platform),)), 100)
    assert "tensor<100x128xi32>" in text and "tensor<50000x32x32x3xui8>" in text
    assert convolutions(text) == {FORWARD: TRACED, OF_KERNEL: TRACED, OF_X: TRACED - 1}
    assert "3x2x32x32xf32" not in text and "custom_call" not in text


PLATFORMS = ("cuda", "rocm", "tpu")
EVERY = [(i + j, shortcut, order) for i, shortcut in enumerate(SHORTCUTS) for j, order in enumerate(ORDERS)]


@pytest.mark.parametrize("turn,shortcut,order", EVERY)
def test_each_shortcut_and_order_has_a_program_for_an_accelerator(turn, shortcut, order, monkeypatch):
    """Each of them for one platform, so that each platform has all of both; no form of the CPU, where this is made."""
    monkeypatch.setattr(jax, "default_backend", lambda: pytest.fail("a step asks for the backend of this machine"))
    config = configure("model.depth=14", "data=cifar10", "recipe=paper", f"shortcut={shortcut}", f"activation={order}")
    steps = Steps(config, restore.without_images(config.data), Devices((AbsentDevice(PLATFORMS[turn % 3]),)))
    text = steps.programs.lower(steps.trace_train(2)).as_text()
    number = sum(isinstance(node, Conv) for _, node in nnx.iter_graph(steps.network))
    assert convolutions(text) == {FORWARD: number, OF_KERNEL: number, OF_X: number - 1}
    assert "custom_call" not in text


def test_a_program_for_this_machine_keeps_its_own_form():
    text = lowered(Devices.here(1), 1, "data.train_images=128", "model.depth=8")
    assert "3x2x32x32xf32" in text, "pairs of pixels"
    assert any(dimensions.startswith("[b, 0, f]") for dimensions in convolutions(text)), "along one axis"


def test_a_program_for_four_devices_that_are_elsewhere_shards_the_images():
    text = lowered(Devices((AbsentDevice("tpu"),) * 4), 2, "model.depth=8")
    assert "mhlo.num_partitions = 4" in text
    assert re.search(r'sharding_constraint .*\[\{"batch"\}, \{\}, \{\}, \{\}\].*tensor<128x32x32x3xui8>', text)


def test_a_program_is_compiled_once():
    programs = Programs(Devices.here(1), threads=1)
    assert programs.call("double", lambda x: 2 * x, jnp.ones(3)).tolist() == [2, 2, 2]
    seconds = programs.compile_seconds
    assert programs.call("double", lambda x: 3 * x, jnp.ones(3)).tolist() == [2, 2, 2] and seconds > 0
    assert programs.compile_seconds == seconds and programs.text("double").startswith("HloModule")
