"""What a training step does besides SGD: BN statistics are averaged in every unit, auxiliary classifiers are heard."""

from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

from ablations.data import catalogue
from ablations.networks.architecture import Architecture, Auxiliary, Cells, Head, Layer, Stage, Unit
from ablations.networks.family import ModelConfig
from ablations.training.steps import Steps
from ablations_tests.conftest import configure


def statistics(momentum: float):
    """The BN statistics before and after one step, by path."""
    config = configure("model=resnet20", "model.depth=14", f"recipe.bn_momentum={momentum}")
    steps = Steps(config, catalogue.load(config.data))
    state = steps.init()
    before = jax.device_get(state.others)
    after, _, _ = steps.train(state, np.arange(config.recipe.batch_size, dtype=np.int32)[None])
    leaves = (jax.tree_util.tree_leaves_with_path(others) for others in (before, jax.device_get(after.others)))
    return [{path: leaf for path, leaf in one if path[-1].key in ("mean", "variance")} for one in leaves]


def test_running_statistics_are_averages_of_the_old_and_those_of_the_batch():
    _, batch = statistics(momentum=0)
    before, after = statistics(momentum=0.75)
    assert len(before) == 2 * (1 + 2 * 2 * 3), "the stem, and two in the first unit and in the others of each stage"
    for path, old in before.items():
        assert (batch[path] != old).all()
        np.testing.assert_allclose(after[path], 0.75 * old + 0.25 * batch[path], rtol=1e-6, err_msg=str(path))


def test_auxiliary_classifiers_are_heard_in_training_and_not_in_tests(forgotten):
    @dataclass
    class Helped(ModelConfig):
        family: str = "helped"
        weight: float = 0.3

        def architecture(self):
            stages = Stage((Unit((Layer(4),)),), name="first"), Stage((Unit((Layer(4),)),))
            rows = Cells(2), Layer(4, 1)
            return Architecture(
                Layer(4), stages, auxiliary=(Auxiliary("first", rows, Head(2, hidden=(5,)), self.weight),)
            )

    losses, logits, weights = [], [], []
    config = configure("data=digits", "recipe.batch_size=8", "recipe.weight_decay=0")
    for weight in (0.0, 1.0, 0.3):
        steps = Steps(replace(config, model=Helped(name="helped", weight=weight)), catalogue.load(config.data))
        state = steps.init()
        before = np.asarray(state.params["auxiliary"][0]["hidden"][0]["kernel"])
        logits.append(steps.logits(state, steps.dataset.test_images[:8]))
        after, (loss,), _ = steps.train(state, np.arange(8, dtype=np.int32)[None])
        losses.append(float(loss))
        weights.append(np.any(before != np.asarray(after.params["auxiliary"][0]["hidden"][0]["kernel"])))
    assert losses[2] == pytest.approx(0.7 * losses[0] + 0.3 * losses[1]) and losses[1] > losses[0] + 0.1
    np.testing.assert_array_equal(logits[0], logits[1])
    assert weights == [False, True, True]
