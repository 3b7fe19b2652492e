"""A training step averages the BN statistics of its batch into the running ones, in every unit."""

import jax
import numpy as np

from ablations.data import catalogue
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
