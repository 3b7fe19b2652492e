"""Calls of the compiled program: on accelerators all of one length, of which as many steps are made as are due."""

import jax
import numpy as np

from ablations.data import catalogue
from ablations.training import calls
from ablations.training.driver import start_together
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import configure


def test_the_platform_decides_how_many_steps_a_call_makes():
    config = configure("recipe=paper", "data=cifar10")
    assert [calls.length(config, platform) for platform in ("cpu", "cuda", "gpu", "tpu")] == [1, 98, 98, 98]
    assert calls.length(configure("recipe=imagenet", "data=imagenet"), "gpu") == 1, "its images come one call at a time"


def test_calls_of_one_length_lead_to_every_evaluation_and_to_the_last_step():
    config, step, found = configure("recipe=short", "data=cifar10"), 0, []
    while step < config.recipe.total_steps:
        found.append(calls.due(config, step, "gpu"))
        step += found[-1]
    assert step == 6400 and found == [98, 98, 98, 97] * 16 + [98, 46]
    assert calls.due(config, 391 + 100, "gpu") == 96, (
        "a run that was stopped goes on to where the call would have ended"
    )


def test_a_call_that_is_not_full_changes_nothing_else(monkeypatch):
    """Five steps in one call, or three and then two in calls of the same program, give the same bits. Dropout: a step changes
    its keys, too."""
    monkeypatch.setattr(calls, "length", lambda *_: 5)
    config = configure("model=resnet20", "model.depth=8", "recipe.batch_size=8", "shortcut=dropout")
    steps, batches = Steps(config, catalogue.load(config.data)), np.arange(40, dtype=np.int32).reshape(5, 8)

    def start():  # anew, since a step takes the memory of its state
        return drawn.state(steps, rate=0.5)

    whole, *outputs = steps.train(start(), batches)
    state, *first = steps.train(start(), batches[:3])
    assert int(state.step) == 3 and all(len(part) == 3 for part in first)
    both, *second = steps.train(state, batches[3:])
    for one, other in zip(jax.tree.leaves(both), jax.tree.leaves(whole), strict=True):
        is_key = jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key)
        np.testing.assert_array_equal(*map(jax.random.key_data if is_key else np.asarray, (one, other)))
    for together, *parts in zip(outputs, first, second, strict=True):
        np.testing.assert_array_equal(together, np.concatenate(parts))
    (ahead, behind), losses, _ = start_together(
        steps, [start(), start()], [steps.data["key"]] * 2, [batches, batches[:3]]
    )
    assert [int(ahead.step), int(behind.step)] == [5, 3]
    np.testing.assert_allclose(losses[1, :3], first[0], rtol=1e-4)
