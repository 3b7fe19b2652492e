"""A program is in the form of the platform it is for, wherever it is made."""

import re
from collections import Counter
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.config.run import MATMUL_PRECISIONS
from ablations.data import catalogue
from ablations.networks import stack
from ablations.networks.activation import ORDERS
from ablations.networks.layers import Conv
from ablations.networks.scaling import SHORTCUTS
from ablations.networks.shortcut import Shortcut
from ablations.training import programs, restore
from ablations.training.devices import AbsentDevice, Devices
from ablations.training.programs import Programs
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import ROOT, configure

TRACED = 1 + 3 * (2 + 2)  # convolutions of a ResNet: the stem, and of each stage the first unit and those of the loop

FORWARD, OF_X, OF_KERNEL = "[b, 0, 1, f]x[0, 1, i, o]", "[b, 0, 1, f]x[0, 1, o, i]", "[f, 0, 1, b]x[i, 0, 1, o]"


def lowered(devices: Devices, count: int, *overrides: str) -> str:
    """The StableHLO of so many steps on CIFAR-10, of which there are no images here."""
    config = configure("model=resnet20", "data=cifar10", "recipe=paper", *overrides)
    steps = Steps(config, restore.without_images(config.data), devices)
    return steps.programs.lower(steps.trace_train(count)).as_text()


def convolutions(text: str) -> Counter:
    """How many there are of each kind, by what it says of its dimensions: (batch, ...)x(...) that it reads."""
    return Counter(re.findall(r"stablehlo\.convolution\(.*?dim_numbers = (.*?)->", text))


def test_a_program_for_an_accelerator_is_made_without_one():
    text = lowered(Devices((AbsentDevice("tpu"),)), 100, "model.depth=14")
    assert "tensor<100x128xi32>" in text and "tensor<50000x3072xui8>" in text
    again = 3 * 2  # of each stage's loop, for the backward pass
    assert convolutions(text) == {FORWARD: TRACED + again, OF_KERNEL: TRACED, OF_X: TRACED - 1}
    assert "3x2x32x32xf32" not in text and "custom_call" not in text


PLATFORMS = ("cuda", "rocm", "tpu")
# Every shortcut and every order on a platform, none of which knows of the others; on each four or more.
PAIRS = [(shortcut, list(ORDERS)[place % 5]) for place, shortcut in enumerate(list(SHORTCUTS)[:6])]
PAIRS += [(shortcut, "original") for shortcut in list(SHORTCUTS)[6:]]
PAIRS += [("exclusive_gating", order) for order in list(ORDERS)[5:]]
EVERY = [(PLATFORMS[turn % 3], *pair) for turn, pair in enumerate(PAIRS)]


@pytest.mark.parametrize("platform,shortcut,order", EVERY)
def test_each_shortcut_and_order_has_a_program_for_an_accelerator(platform, shortcut, order, monkeypatch):
    """No form of the CPU, where this is made."""
    monkeypatch.setattr(jax, "default_backend", lambda: pytest.fail("a step asks for the backend of this machine"))
    config = configure("model.depth=8", "data=cifar10", "recipe=paper", f"shortcut={shortcut}", f"activation={order}")
    steps = Steps(config, restore.without_images(config.data), Devices((AbsentDevice(platform),)))
    text = steps.programs.lower(steps.trace_train(2)).as_text()
    number = sum(isinstance(node, Conv) for _, node in nnx.iter_graph(steps.network))
    assert convolutions(text) == {FORWARD: number, OF_KERNEL: number, OF_X: number - 1}
    assert "3x2x32x32xf32" not in text and "custom_call" not in text


GATES = ("model.depth=8", "shortcut=exclusive_gating", "activation=full_preactivation", "remat=true")


@pytest.mark.parametrize("chosen,platform", [*zip(MATMUL_PRECISIONS, ("cuda", "tpu", "cuda"), strict=True)])
def test_every_product_of_a_step_has_the_runs_precision(chosen, platform):
    """Those of the backward pass, of the gates and of the classifier, too, and whatever the user's environment says."""
    with jax.default_matmul_precision("high" if chosen == "default" else "default"):
        text = lowered(Devices((AbsentDevice(platform),)), 2, *GATES, f"matmul_precision={chosen}")
    products = [line for line in text.splitlines() if re.search(r"stablehlo\.(convolution|dot)", line)]
    convolutions_of_gates = sum(convolutions(text).values())
    assert convolutions_of_gates > 20 and len(products) == convolutions_of_gates + 3, "the classifier's, forth and back"
    assert {tuple(re.findall(r"\b(DEFAULT|HIGH|HIGHEST)\b", line)) for line in products} == {(chosen.upper(),) * 2}


def test_measurements_of_a_network_have_its_precision():
    own = Programs(Devices.here(1), threads=1, matmul_precision="highest")
    seen = []
    double = own.jit(lambda x: seen.append(jax.config.jax_default_matmul_precision) or 2 * x)  # pyright: ignore[reportAttributeAccessIssue]
    assert double(1.0) == 2 and seen == ["highest"]
    for file in ("training/probe", "analysis/paths", "analysis/lesion", "analysis/landscape"):
        text = (ROOT / "ablations" / f"{file}.py").read_text()
        assert "steps.programs.jit(" in text and "jax.jit" not in text, file


def test_on_a_cpu_f32_is_float32_and_the_three_are_the_same():
    found = []
    for chosen in MATMUL_PRECISIONS:
        config = configure("model=resnet20", "model.depth=8", "recipe.batch_size=16", f"matmul_precision={chosen}")
        steps = Steps(config, catalogue.load(config.data))
        state, losses, _ = steps.train(drawn.state(steps), np.arange(16, dtype=np.int32)[None])
        found.append([losses, *jax.tree.leaves(state.params)])
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


def test_a_program_for_this_machine_keeps_its_own_form():
    text = lowered(Devices.here(1), 1, "data.train_images=128", "model.depth=8")
    assert "3x2x32x32xf32" in text, "pairs of pixels"
    assert any(dimensions.startswith("[b, 0, f]") for dimensions in convolutions(text)), "along one axis"


def test_a_program_for_four_devices_that_are_elsewhere_shards_the_images():
    text = lowered(Devices((AbsentDevice("tpu"),) * 4), 2, "model.depth=8")
    assert "mhlo.num_partitions = 4" in text
    assert re.search(r'sharding_constraint .*\[\{"batch"\}, \{\}, \{\}, \{\}\].*tensor<128x32x32x3xui8>', text)


def test_an_option_that_a_compiler_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(stack, "compiler_options", lambda platform: {f"xla_{platform}_of_another_version": True})
    made = Programs(Devices.here(1), threads=1)
    assert made.call("twice", lambda x: 2 * x, np.float32(3)) == 6


def test_a_program_is_compiled_once():
    own = Programs(Devices.here(1), threads=1)
    assert own.call("double", lambda x: 2 * x, jnp.ones(3)).tolist() == [2, 2, 2]
    seconds = own.compile_seconds
    assert own.call("double", lambda x: 3 * x, jnp.ones(3)).tolist() == [2, 2, 2] and seconds > 0
    assert own.compile_seconds == seconds and own.text("double").startswith("HloModule")


SMALL = ("model=resnet20", "model.depth=8", "recipe.batch_size=16")
SCALED = ("shortcut=constant_scaling", "shortcut.shortcut_scale=0.5")


def begun(*overrides: str) -> tuple[np.ndarray, bool]:
    """The weights and losses of two steps, and whether their programs were there already."""
    config = configure(*SMALL, *overrides)
    steps = Steps(config, catalogue.load(config.data))
    state, losses, _ = steps.train(steps.init(), np.arange(16, dtype=np.int32)[None])
    seconds = steps.programs.compile_seconds
    state, more, _ = steps.train(state, np.arange(16, 32, dtype=np.int32)[None])
    assert steps.programs.compile_seconds == seconds
    return np.concatenate([losses, more, *map(np.ravel, jax.tree.leaves(state.params))]), seconds == 0


def test_runs_that_differ_in_numbers_share_their_programs_and_give_what_they_give_alone():
    def of_both(forget: bool) -> list[np.ndarray]:
        programs._compiled.cache_clear()
        results = []
        for numbers in (("seed=1", *SCALED), ("seed=2", *SCALED, "shortcut.shortcut_scale=0.4")):
            if forget:
                programs._compiled.cache_clear()
            results.append(begun(*numbers)[0])
        return results

    for alone, shared in zip(of_both(forget=True), of_both(forget=False), strict=True):
        np.testing.assert_array_equal(alone, shared)
    assert begun("seed=3", *SCALED, "shortcut.shortcut_scale=0.4")[1], "nothing of it was compiled anew"


OTHERS = (
    "recipe.learning_rate=0.01", "data.pad=0", "threads=2", "unroll=true", "data.train_images=1000", "precision=bf16",
    "shortcut.gate_kernel=3",
)  # fmt: skip


def test_runs_that_differ_in_more_have_programs_of_their_own():
    def kept(*overrides):
        config = configure(*SMALL, "shortcut=exclusive_gating", *overrides)
        return Steps(config, catalogue.load(config.data)).programs._compiled

    programs._compiled.cache_clear()
    first = kept()
    assert first is kept("seed=1", "shortcut.bias=-5")
    for other in OTHERS:
        assert first is not kept(other), other


def test_a_users_shortcut_is_compiled_anew_for_each_run(forgotten):
    factors = [1.0]

    @dataclass
    class Factored(Shortcut):
        name: str = "factored"

        def layers(self, build):
            return {"h": build.match()}

        @staticmethod
        def equation(x, fx, h):
            return factors[-1] * h(x) + fx  # as of a function that a cell of a notebook defines anew

    before, _ = begun("shortcut=factored")
    factors.append(0.5)
    assert not np.array_equal(begun("shortcut=factored")[0], before)
