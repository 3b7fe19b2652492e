"""What a training step does besides SGD: BN statistics are averaged in every unit, auxiliary classifiers are heard."""

from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest
from flax import nnx

from ablations.data import catalogue
from ablations.networks.architecture import Architecture, Auxiliary, Cells, Head, Layer, Stage, Unit
from ablations.networks.family import ModelConfig
from ablations.training.steps import Steps
from ablations_tests import drawn, reference
from ablations_tests.conftest import configure


def test_running_statistics_are_averages_of_the_old_and_those_of_the_batch():
    """Of units of one layer, two a stage: the new ones of two states that differ in the old ones alone."""
    design = ("model=resnet110_1layer", "model.depth=8", "recipe.bn_momentum=0.75", "data.pad=0", "data.flip=false")
    config = configure(*design, "recipe.batch_size=32")
    steps = Steps(config, catalogue.load(config.data))

    def of_batch(state):
        """The statistics before the step, and what it averages them with, by path."""
        before = statistics(state)
        after = statistics(steps.train(state, np.arange(32, dtype=np.int32)[None])[0])
        return before, {path: (after[path] - 0.75 * old) / 0.25 for path, old in before.items()}

    state = drawn.state(steps)
    (old, batch), (other, same) = map(of_batch, (state, state._replace(others=drawn.drawn(state.others, seed=7))))
    assert len(old) == 2 * (1 + 2 * 3), "the stem, the first unit and the others of each stage"
    for path, found in batch.items():
        assert (found != old[path]).all() and (old[path] != other[path]).all(), path
        np.testing.assert_allclose(found, same[path], rtol=1e-4, atol=1e-5, err_msg=str(path))
    images = steps.dataset.train_images[:32] / 255
    x = reference.conv(
        (images - steps.normalization["mean"]) / steps.normalization["divisor"], state.params["stem"]["kernel"]
    )
    np.testing.assert_allclose(batch["stem_activation", "bn", "mean"], x.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch["stem_activation", "bn", "variance"], x.var((0, 1, 2)), rtol=1e-4)


def statistics(state):
    leaves = nnx.to_flat_state(state.others)
    return {path: np.asarray(leaf) for path, leaf in leaves if path[-1] in ("mean", "variance")}


def test_what_a_file_fills_is_the_rest_of_what_a_run_begins_with():
    """The keys of dropout, too: a loaded network trains on as one of its seed."""
    design = ("model=vgg110_digits", "model.layers=[2,1]", "model.widths=[4,8]", "shortcut=dropout", "seed=3")
    config = configure(*design)
    steps = Steps(config, catalogue.load(config.data))
    begun, undrawn = steps.init(), steps.init(draw=False)
    for one, other in zip(
        *map(jax.tree.leaves, (begun._replace(params=None), undrawn._replace(params=None))), strict=True
    ):
        is_key = jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key)
        np.testing.assert_array_equal(*map(jax.random.key_data if is_key else np.asarray, (one, other)))
    for state in (undrawn, steps.abstract()):
        assert jax.tree.map(jax.typeof, begun) == jax.tree.map(jax.typeof, state)


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
        state = drawn.state(steps)
        before = np.asarray(state.params["auxiliary"][0]["hidden"][0]["kernel"])
        logits.append(steps.logits(state, steps.dataset.test_images[:8]))
        after, (loss,), _ = steps.train(state, np.arange(8, dtype=np.int32)[None])
        losses.append(float(loss))
        weights.append(np.any(before != np.asarray(after.params["auxiliary"][0]["hidden"][0]["kernel"])))
    assert losses[2] == pytest.approx(0.7 * losses[0] + 0.3 * losses[1]) and losses[1] > losses[0] + 0.1
    np.testing.assert_array_equal(logits[0], logits[1])
    assert weights == [False, True, True]
