"""A lesion is what it says: a network built without a unit, without its F, or in another order."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.analysis import paths
from ablations.analysis.lesion import RESIDUAL, UNIT, Lesions, kendall_tau, logits, study, swap
from ablations.cli import analysis
from ablations.data import catalogue, dataset
from ablations.errors import UserError
from ablations.runs.record import read_record
from ablations.training import augmentation
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import configure, here


def network(*overrides, **numbers):
    """Compiled steps of nine units, and a state in which no number is one that a network starts from."""
    config = configure("model=resnet20", *overrides)
    steps = Steps(config, catalogue.load(config.data))
    return steps, drawn.state(steps, **numbers)


def lesioned(steps, state, *plan):
    """Logits of 16 test images, compiled once a `steps`."""
    if not hasattr(steps, "lesioned"):
        steps.lesioned = jax.jit(lambda *arguments: logits(steps, *arguments))
    images = steps.dataset.test_images[:16]
    return steps.lesioned(state.params, state.others, steps.data, images, *Lesions(steps, state).plan(*plan))


def built(steps, state, edit):
    """Logits of the same images from a network that `edit` has changed, run as any other."""

    @jax.jit
    def run(params, others):
        network = steps.merge(params, others, train=False)
        edit(network)
        images = augmentation.normalise(steps.dataset.test_images[:16], steps.data["mean"], steps.data["divisor"])
        return network(images)

    return run(state.params, state.others)


def without(stage, index):
    """Take a unit out of a network: of the stacked ones of a stage, counted from 0."""

    def edit(network):
        graphdef, stacked = nnx.split(network.stages[stage].rest)
        fewer = jax.tree.map(lambda leaf: jnp.delete(leaf, index, 0), stacked)
        network.stages[stage].rest = nnx.merge(graphdef, fewer)

    return edit


@pytest.mark.parametrize(
    "overrides,numbers",
    [
        (("shortcut=identity", "activation=full_preactivation"), {}),
        (("shortcut=exclusive_gating", "activation=bn_after_addition"), {}),
        (("shortcut=constant_scaling", "shortcut.shortcut_scale=0"), {"a": 0, "b": 0.5}),
    ],
)
def test_deleting_a_unit_is_building_without_it(overrides, numbers):
    steps, state = network(*overrides, **numbers)
    whole, less = lesioned(steps, state), lesioned(steps, state, [4], UNIT)
    np.testing.assert_allclose(whole, built(steps, state, lambda _: None), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(less, built(steps, state, without(1, 0)), rtol=1e-4, atol=1e-5)
    assert np.abs(whole - less).max() > 1e-4
    no_f = lesioned(steps, state, [4], RESIDUAL)
    assert np.allclose(no_f, less, atol=1e-5) == (overrides[0] == "shortcut=identity"), "the shortcut stays"


def test_deleting_f_leaves_the_shortcut_and_f():
    """BN as the last layer of F: with scale and shift 0, F(x) is 0."""
    steps, state = network("shortcut=shortcut_only_gating")

    def edit(network):
        bn = network.stages[1].first.activations[-1].bn
        bn.scale[...], bn.shift[...] = jnp.zeros(32), jnp.zeros(32)

    for how in (UNIT, RESIDUAL):  # a unit that changes the shape can only lose its F
        np.testing.assert_allclose(lesioned(steps, state, [3], how), built(steps, state, edit), rtol=1e-4, atol=1e-5)


def test_swaps():
    steps, state = network()
    order = [0, 1, 2, 3, 5, 4, 6, 7, 8]

    def edit(network):
        graphdef, stacked = nnx.split(network.stages[1].rest)
        network.stages[1].rest = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[::-1], stacked))

    swapped = lesioned(steps, state, [], UNIT, order)
    np.testing.assert_allclose(swapped, built(steps, state, edit), rtol=1e-4, atol=1e-5)
    assert not np.allclose(swapped, lesioned(steps, state), atol=1e-4)

    def equal(part):
        flat = nnx.to_flat_state(part)
        same = [(path, leaf[np.zeros(len(leaf), int)] if path[2:3] == ("rest",) else leaf) for path, leaf in flat]
        return nnx.from_flat_state(same)

    state = state._replace(params=equal(state.params), others=equal(state.others))
    assert np.array_equal(lesioned(steps, state, [], UNIT, order), lesioned(steps, state)), "equal units"


def test_random_swaps_stay_in_a_stage():
    random, order = np.random.default_rng(0), np.arange(9)
    for _ in range(50):
        swap(order, [[1, 2], [4, 5], [7, 8]], random)
        assert list(order[::3]) == [0, 3, 6] and all(set(order[i : i + 2]) == {i, i + 1} for i in (1, 4, 7))
    assert list(order) != list(range(9))


def test_kendall_tau():
    from scipy.stats import kendalltau

    assert kendall_tau(np.arange(5)) == 1 and kendall_tau(np.arange(5)[::-1]) == -1
    order = np.random.default_rng(0).permutation(54)
    assert kendall_tau(order) == pytest.approx(kendalltau(order, np.arange(54)).statistic)


@pytest.mark.parametrize("overrides", [("shortcut=exclusive_gating",), ("activation=bn_after_addition",)])
def test_the_gradient_is_the_sum_over_all_paths(overrides):
    """Of three units: eight paths."""
    steps, state = network("model.depth=8", *overrides)
    images, labels = steps.dataset.train_images[:4], steps.dataset.train_labels[:4]

    @jax.jit
    def along(images, labels, through):
        return paths.gradient_along(steps, state.params, state.others, steps.data, images, labels, through)

    each = {
        path: along(images, labels, [np.full((1, 4), through, np.float32) for through in path])
        for path in itertools.product((0, 1), repeat=3)
    }

    @jax.jit
    def whole():
        network = steps.merge(state.params, state.others, train=False)
        x = network.embed(augmentation.normalise(images, steps.data["mean"], steps.data["divisor"]))

        def loss(x):
            logits = steps.merge(state.params, state.others, train=False)
            out = logits.classify(logits.walk(x, lambda unit, x, _: (unit(x), None))[0])
            return -jax.nn.log_softmax(out)[jnp.arange(4), labels].sum()

        return jax.grad(loss)(x)

    np.testing.assert_allclose(sum(each.values()), whole(), rtol=1e-3, atol=1e-6)
    norms = paths.gradients(steps, state, 4, 0, lambda: None)
    assert len(norms) == 4
    chosen = dataset.stratified(steps.dataset.train_labels)[:4]
    images, labels = steps.dataset.train_images[chosen], steps.dataset.train_labels[chosen]
    for length in (0, 3):  # of which there is one path
        gradient = along(images, labels, [np.full((1, 4), length / 3, np.float32)] * 3)
        by_hand = np.linalg.norm(np.asarray(gradient).reshape(4, -1), axis=1).mean()
        assert norms[length] == pytest.approx(float(by_hand), rel=1e-3)


def test_shares_of_paths():
    assert paths.shares([1.0] * 4) == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8])
    assert paths.shares([0.0, 1e-40]) == pytest.approx([0, 1])
    assert paths.shares([0.0, 0.0]) == [0, 0]
    assert sum(paths.shares([10.0**-n for n in range(55)])) == pytest.approx(1)


def test_all_lesions_are_one_program():
    steps, state = network()
    lesions = Lesions(steps, state)
    errors = [lesions.error_percent(), *lesions.singles(UNIT, lambda: None), *lesions.singles(RESIDUAL, lambda: None)]
    deleted = lesions.deletions(2, 2, 0, lambda: None)
    swapped, taus = lesions.swaps(2, 2, 0, lambda: None)
    assert lesions._wrong._cache_size() == 1
    assert lesions.changing == {3, 6} and len(lesions.free) == 7
    assert np.shape(deleted) == np.shape(swapped) == np.shape(taus) == (2, 2)
    assert all(0 <= error <= 100 for error in [*errors, *np.ravel(deleted), *np.ravel(swapped)])
    assert lesions.deletions(2, 2, 0, lambda: None) == deleted, "the same draws each time"


def test_what_cannot_be_deleted():
    steps, state = network("shortcut=constant_scaling", "shortcut.shortcut_scale=0", "model.depth=8", a=0, b=0.5)
    lesions = Lesions(steps, state)
    lesions.check([1])
    with pytest.raises(
        UserError, match="unit=2: cannot be deleted: it changes the shape of x and has 0 on its shortcut"
    ):
        lesions.check([1, 2])
    for k in (0, 2):
        with pytest.raises(UserError, match=f"k={k}: 1 of the network's 3 units can be deleted at random"):
            lesions.check_at_once(k)
    found = study(steps, state, "a network", k=1, draws=2, paths=8)
    assert [error is None for error in found["without_unit"]] == [False, True, True]
    assert found["changing"] == [2, 3] and len(found["path_shares"]) == 4


def test_the_command(finished):
    """Deleting nothing gives the error of the record."""
    cwd, run = finished
    done = here("lesion", f"run={run}", "k=1", "draws=2", "paths=8", "format=svg", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "Lesions of" in done.stdout and "tests" in done.stderr
    found, record = json.loads((run / "lesion.json").read_text(), parse_constant=pytest.fail), read_record(run)
    assert found["whole"] == pytest.approx(record["test_error_percent"], rel=1e-5)
    assert len(found["without_unit"]) == 1 and found["changing"] == [] and len(found["path_shares"]) == 2
    assert (run / "lesion.svg").read_text().startswith("<?xml")
    done = here("lesion", f"run={run}", "unit=4", cwd=cwd)
    assert done.returncode == 2 and done.stderr == "ablations: unit=4: the network has the units 1 ... 1\n"


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["model=resnet20"], "lesion needs run=RUNS_DIR/STUDY/ROW/seed=K, or study=NAME"),
        (["run=nowhere"], "run=nowhere: there is no finished run in this folder"),
        (["run=nowhere", "k=0"], "k=0: must be a number of at least 1"),
    ],
)
def test_one_clear_message(arguments, message):
    with pytest.raises(UserError, match=message):
        analysis.command("lesion", arguments)
