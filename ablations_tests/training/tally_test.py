"""What a run counts, and that a checkpoint of before it was a class is read."""

import json
from dataclasses import replace

import numpy as np
from safetensors.numpy import load_file

from ablations import randomness
from ablations.data import catalogue
from ablations.runs.record import read_metrics
from ablations.training.checkpoint import Checkpoints
from ablations.training.loop import train
from ablations.training.steps import Steps
from ablations.training.tally import Tally
from ablations_tests.conftest import ONE_UNIT, configure

TINY = (*ONE_UNIT, "recipe.total_steps=4", "recipe.evaluate_every=3")

OLD = {  # the loop of a checkpoint as it was written at commit ac4b24b, after step 2 of a run with these settings
    "step": 2, "losses": [2.5, 2.25], "wrong": [57, 50], "metrics": [], "train_seconds": 1.0, "wall_seconds": 9.0,
    "compile_seconds": 6.0, "status": "done", "probes": [], "broken": [],
}  # fmt: skip


def test_plain_data_has_the_keys_that_checkpoints_have():
    tally = Tally.from_plain(OLD)
    assert (tally.step, tally.losses, tally.test_images) == (2, [2.5, 2.25], None)
    assert list(tally.plain()) == list(OLD) and json.loads(json.dumps(tally.plain())) == OLD
    tested = OLD | {"test_images": 360}
    assert Tally.from_plain(tested).plain() == tested
    older = {key: value for key, value in OLD.items() if key not in ("probes", "broken")}
    assert Tally.from_plain(older).plain() == OLD
    assert Tally.from_plain(OLD | {"of a later version": 1}).plain() == OLD
    assert Tally().losses is not Tally().losses


def test_a_run_goes_on_from_a_loop_that_was_written_as_a_dict(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    config = configure(*TINY)
    record = train(config, whole, quiet=True)
    dataset = catalogue.load(config.data)
    steps = Steps(config, dataset)
    state, losses, wrong = steps.init(), [], []
    for step in range(2):
        batch = randomness.batches(0, step, 1, config.recipe.batch_size, len(dataset.train_images))
        state, loss, errors = steps.train(state, batch)
        losses, wrong = losses + loss.tolist(), wrong + errors.tolist()
    Checkpoints(stopped).save(2, state, OLD | {"losses": losses, "wrong": wrong}, config.resolved(), wait=True)
    again = train(config, stopped, quiet=True)
    assert read_metrics(stopped) == read_metrics(whole)
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, stopped))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert again["wall_seconds"] > 9 and again["compile_seconds"] >= 6 and again["train_loss"] == record["train_loss"]


def test_steps_are_counted_up_to_the_first_loss_that_is_not_finite():
    recipe = replace(configure("recipe.evaluate_every=3").recipe, total_steps=10)
    tally = Tally()
    tally.add(np.array([3.0, 2.0]), np.array([5, 4]))
    assert (tally.step, tally.is_evaluation_due(recipe), tally.is_last(recipe)) == (2, False, False)
    tally.add(np.array([1.0]), np.array([3]))
    assert tally.is_evaluation_due(recipe) and tally.losses == [3, 2, 1] and tally.wrong == [5, 4, 3]
    tally.add_evaluation({"step": 3})
    assert (tally.losses, tally.wrong, tally.metrics) == ([], [], [{"step": 3}])
    tally.add(np.array([1.0, np.inf, 1.0]), np.array([3, 9, 3]))
    assert (tally.step, tally.status, tally.wrong) == (5, "diverged", [3, 9])
    assert (
        tally.is_last(recipe)
        and tally.is_evaluation_due(recipe)
        and list(tally.remaining_steps(recipe)) == [5, 6, 7, 8, 9]
    )
    assert Tally(step=10).is_last(recipe) and Tally(step=10).is_evaluation_due(recipe)
