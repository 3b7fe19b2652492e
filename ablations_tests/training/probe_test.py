"""What a probe measures is what the mathematics and a gradient by hand say."""

import json
import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from ablations.analysis.measurement import measured
from ablations.analysis.subject import Subject, of_run
from ablations.data import catalogue, dataset
from ablations.networks.activation import ActivationOrder
from ablations.runs.folder import RunFolder
from ablations.runs.record import read_record
from ablations.system import interrupt
from ablations.training import augmentation
from ablations.training.loop import train
from ablations.training.probe import Probe
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import BLANK, FEW_IMAGES, configure, here

LINEAR = ActivationOrder("linear", [], [], [], [])


def edited(part, **edits):
    """A copy of a state, with the leaves changed whose path ends in one of these names, joined by "_"."""
    flat = []
    for path, leaf in nnx.to_flat_state(part):
        for ending, edit in edits.items():
            if "_".join(map(str, path)).endswith(ending):
                leaf = edit(leaf)
        flat.append((path, leaf))
    return nnx.from_flat_state(flat)


@pytest.mark.parametrize(
    "overrides,numbers,factor",
    [
        (["shortcut=identity"], {}, 1.0),
        (["shortcut=constant_scaling", "shortcut.shortcut_scale=0.5"], {"a": 0.5, "b": 0.5}, 0.5),
        (["shortcut=exclusive_gating", "shortcut.bias=-6"], {"bias": -6}, 1 / (1 + np.exp(-6))),
        (["shortcut=shortcut_only_gating", "shortcut.bias=-5"], {"bias": -5}, 1 / (1 + np.exp(-5))),
        (["shortcut=dropout", "shortcut.rate=0.5"], {"rate": 0.5}, 0.5),
        (["shortcut=conv1x1", "shortcut.bn=false", "shortcut.at_dimension_change=false"], {}, 0.9),
    ],
)
def test_linear_units_give_the_product_of_eqn_8(overrides, numbers, factor):
    """F = 0, without BN and ReLU; gates with W_g = 0, 1x1 convolutions that are 0.9 times the identity."""
    known = {"shortcut=constant_scaling": 5.55e-17, "shortcut=exclusive_gating": 0.875}.get(
        overrides[0]
    )  # by the paper
    n = 18 if known else 2  # units a stage; the paper's are of 110 layers
    steps = linear(*overrides, "model=resnet110_1layer", f"model.depth={3 * n + 2}")
    units = Probe(steps, 8)(without_f(steps, **numbers))["units"]
    changes = {i for i in (n, 2 * n) if overrides[0] == "shortcut=conv1x1"}
    products = [np.prod([1 if i in changes else factor for i in range(unit, 3 * n)]) for unit in range(3 * n)]
    np.testing.assert_allclose(units["product"], products, rtol=1e-5)
    if "predicted" in units:
        np.testing.assert_allclose(units["product"], units["predicted"], rtol=1e-5)
    assert ("predicted" in units) == (overrides[0] != "shortcut=conv1x1")
    assert max(units["through_weights"]) < 1e-6 * min(units["gradient"])
    assert known is None or units["product"][0] == pytest.approx(known, rel=1e-3)


def test_pools_between_stages_are_no_part_of_the_product():
    steps = linear("model=vgg110_digits", "model.layers=[5,4]", "model.widths=[4,8]", "shortcut=constant_scaling")
    units = Probe(steps, 8)(without_f(steps, a=0.5, b=0.5))["units"]
    np.testing.assert_allclose(units["product"], [0.5**4, 0.5**3, 0.5**2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(units["product"], units["predicted"], rtol=1e-5)


def linear(*overrides):
    config = replace(configure(*overrides), activation=LINEAR)
    return Steps(config, catalogue.load(config.data))


def without_f(steps, **numbers):
    state = drawn.state(steps, **numbers)
    params = edited(
        state.params,
        convolutions_0_kernel=np.zeros_like,
        gate_conv_kernel=np.zeros_like,
        w_conv_kernel=lambda kernel: np.broadcast_to(
            np.float32(0.9) * np.eye(kernel.shape[-1], dtype=np.float32), kernel.shape
        ),
    )
    return state._replace(params=params)


@pytest.mark.parametrize(
    "overrides",
    [
        ["shortcut=exclusive_gating", "model=resnet110_1layer", "model.depth=8"],  # two units a stage
        ["shortcut=dropout", "activation=full_preactivation", "model=resnet164", "model.depth=11"],
    ],
)
def test_a_real_net_agrees_with_a_gradient_by_hand(overrides):
    """By jax.vjp of the units one after the other; what comes along shortcuts, of each with F and g held fast."""
    steps = Steps(configure("model=resnet20", *overrides), catalogue.load(configure().data))
    state, images = drawn.state(steps, rate=0.5), 16
    probed = Probe(steps, images)(state)
    by_hand = jax.jit(lambda params, others: gradients_by_hand(steps, params, others, images))
    loss, gradients = by_hand(state.params, state.others)
    assert ("cut_off" in probed["units"]) == ("activation=full_preactivation" not in overrides), "without f, nothing is"
    assert probed["loss"] == pytest.approx(float(loss), rel=1e-4)
    for unit, of_unit in gradients.items():
        for name, gradient in of_unit.items():
            norm = float(np.linalg.norm(np.asarray(gradient, np.float64)))
            assert probed["units"][name][unit] == pytest.approx(norm, rel=2e-3), (name, unit)


def first_images(steps, images):
    chosen = dataset.stratified(steps.dataset.train_labels)[:images]
    x = augmentation.normalise(steps.dataset.train_images[chosen], steps.data["mean"], steps.data["divisor"])
    return x, steps.dataset.train_labels[chosen]


def gradients_by_hand(steps, params, others, images):
    x, labels = first_images(steps, images)
    per_stage = steps.config.model.units[0]

    def network():
        network = nnx.merge(steps.graphdef, params, others)
        network.train(group=None)
        network.set_attributes(deterministic=True, raise_if_not_found=False)
        return network

    def unit(index):
        stage = network().stages[index // per_stage]
        if index % per_stage == 0:
            return stage.first
        graphdef, stacked = nnx.split(stage.rest)
        return nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[index % per_stage - 1], stacked))

    def loss(x):
        return optax.softmax_cross_entropy_with_integer_labels(network().classify(x), labels).mean()

    def along_shortcut(x, index):
        one = unit(index)
        read, fx = one.branches(x)
        fx, layers = jax.lax.stop_gradient(fx), one.shortcut.layers(jnp.float32)
        if gate := layers.pop("gate", None):  # exclusive gating, whose gate only multiplies
            g = jax.lax.stop_gradient(gate(read))
            return one.after_addition((1 - g) * layers["h"](read) + g * fx)
        return one.after_addition(one.shortcut(read, fx))

    inputs = [network().embed(x)]
    for index in range(3 * per_stage):
        inputs.append(unit(index)(inputs[-1]))
    value, whole = jax.value_and_grad(loss)(inputs[-1])
    part, gradients = whole, {}
    for index in reversed(range(3 * per_stage)):
        (whole,) = jax.vjp(lambda x, index=index: unit(index)(x), inputs[index])[1](whole)
        (part,) = jax.vjp(lambda x, index=index: along_shortcut(x, index), inputs[index])[1](part)
        gradients[index] = {"gradient": whole, "through_shortcuts": part, "through_weights": whole - part}
    return value, gradients


def test_the_signal_and_the_gate_of_the_first_unit():
    config = configure("model=resnet20", "model.depth=8", "shortcut=exclusive_gating", "shortcut.bias=-1")
    steps = Steps(config, catalogue.load(config.data))
    state = drawn.state(steps, scale=1)
    units = Probe(steps, 16)(state)["units"]

    @jax.jit
    def by_hand(params, others):
        network = nnx.merge(steps.graphdef, params, others)
        network.train(group=None)
        x = network.embed(first_images(steps, 16)[0])
        unit = network.stages[0].first
        read, fx = unit.branches(x)
        return x, fx, unit.shortcut(read, fx), 1 - unit.shortcut.gate(x)

    x, fx, y, kept = map(np.asarray, by_hand(state.params, state.others))
    assert units["x_std"][0] == pytest.approx(np.std(x), rel=1e-4)
    assert units["residual_std"][0] == pytest.approx(np.std(fx), rel=1e-4)
    assert units["ratio"][0] == pytest.approx(np.std(fx) / np.std(x), rel=1e-4)
    assert units["negative"][0] == units["cut_off"][0] == pytest.approx((y < 0).mean(), abs=1e-4)
    assert units["kept"][0] == pytest.approx(kept.mean(), rel=1e-4)
    np.testing.assert_allclose(units["kept_quantiles"][0], np.quantile(kept, [0.05, 0.25, 0.5, 0.75, 0.95]), rtol=0.05)
    assert units["bn_scale_after"] == [1.0] * 3 and "bn_scale_before" not in units


def test_what_f_cuts_off_is_what_its_relu_reads():
    """BN before that ReLU moves the zero."""

    config = configure("model=resnet20", "model.depth=8", "activation=bn_after_addition")
    steps = Steps(config, catalogue.load(config.data))
    after = Probe(steps, 16)(drawn.state(steps))["units"]
    assert after["cut_off"] != after["negative"] and 0.3 < after["cut_off"][1] < 0.7


ALONG = (
    "model=resnet20", "model.depth=8", "shortcut=exclusive_gating", "recipe.total_steps=5", "recipe.evaluate_every=5",
    "checkpoint_seconds=0", *FEW_IMAGES,
)  # fmt: skip


@pytest.fixture(scope="module")
def along(tmp_path_factory):
    """The folder of a run that was probed at each second step."""
    folder = tmp_path_factory.mktemp("along")
    train(configure(*ALONG, "recipe.probe_every=2"), folder, quiet=True)
    return folder


def test_probes_along_training_change_nothing(along, tmp_path):
    train(configure(*ALONG), tmp_path, quiet=True)
    probed, record = read_record(along), read_record(tmp_path)
    for key in ("test_error_percent", "train_loss", "config"):
        assert probed[key] == record[key]
    lines = [json.loads(line) for line in (along / "probes.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 5]
    assert lines[0]["units"]["kept"] != lines[-1]["units"]["kept"]
    assert not (tmp_path / "probes.jsonl").exists()


def test_a_run_on_its_way_is_probed_and_goes_on_without_doubles(along, tmp_path):
    calls = iter([False, False, True])
    config = configure(*ALONG, "recipe.probe_every=2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interrupt, "stop_requested", lambda _: next(calls))
        with pytest.raises(interrupt.Interrupted):
            train(config, tmp_path, quiet=True)
    found = measured("probe", of_run(RunFolder(tmp_path)), {"images": 32}, tmp_path)
    assert (found["step"], found["at"]) == (3, "on the way")
    with open(tmp_path / "probes.jsonl", "a") as file:
        file.write('{"step": 4}\n')  # written, and not yet part of a checkpoint
    train(config, tmp_path, quiet=True)
    assert (tmp_path / "probes.jsonl").read_text() == (along / "probes.jsonl").read_text()


def test_the_command(along):
    cwd, run = along.parent, along
    done = here("probe", f"run={run}", "images=16", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "Probe of" in done.stdout and "after training" in done.stdout
    found = json.loads((run / "probe.json").read_text(), parse_constant=pytest.fail)
    assert len(found["units"]["gradient"]) == 3 and found["step"] == 5 and found["config"] == read_record(run)["config"]
    before = (run / "probe.json").stat().st_mtime_ns
    again = measured("probe", of_run(RunFolder(run)), {"images": 16}, run)
    assert again == found and (run / "probe.json").stat().st_mtime_ns == before, (
        "what is measured is not measured again"
    )
    line = json.loads((run / "probes.jsonl").read_text().splitlines()[0])
    start = measured("probe", Subject("start", of_run(RunFolder(run)).config), {"images": 32}, run)
    assert json.loads((run / "probe-start.json").read_text()) == start and start["at"] == "start"
    assert start["units"] == line["units"] and start["units"] != found["units"]


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["run=nowhere"], "run=nowhere: there is no finished run in this folder"),
        (["run=bare"], "run=bare: its weights.safetensors is gone; ablations train ... force=true trains it again"),
        (["run=bare", "model=resnet20"], "model: not a setting of probe run=...; see ablations probe --help"),
        (["model=resnet20", "images=2000"], "images=2000: the training set of digits has 1437 images"),
        (["model=resnet20", "images=0"], "images=0: must be a number of at least 1"),
        (["model=resnet20", "format=gif"], "format=gif: legal are svg, pdf, png"),
        (["model=resnet21"], "model=resnet21: unknown; the nearest are"),
        (["study=table1"], "runs_dir=runs: there is no such folder"),
        (["study=table1", "runs_dir=."], "study=table1: no run in . has weights, and nothing was measured before"),
        (["identity"], "identity: settings are key=value; see ablations probe --help"),
    ],
)
def test_one_clear_message(arguments, message, tmp_path):
    record = BLANK | {"schema_version": 1, "config": configure("model=resnet20").resolved()}
    os.mkdir(tmp_path / "bare")
    (tmp_path / "bare" / "record.json").write_text(json.dumps(record))
    done = here("probe", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("ablations: ") and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
