"""A run's network comes back from its folder, and needs its data set only where images are asked for."""

import shutil

import jax
import numpy as np
import pytest

from ablations.data import catalogue
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.system import interrupt
from ablations.training import restore
from ablations.training.loop import train
from ablations_tests.conftest import configure

TINY = ("model=resnet20", "model.depth=8", "recipe.total_steps=2", "recipe.batch_size=32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """That of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    train(configure(*TINY), folder, quiet=True)
    return folder


def test_logits_need_no_data_set(folder, monkeypatch):
    steps, state, step = restore.run(RunFolder(folder))
    images = steps.dataset.test_images[:40]
    expected = steps.logits(state, images)
    monkeypatch.setattr(catalogue, "load", lambda _: pytest.fail("the data set was read"))
    without, same, _ = restore.run(RunFolder(folder), images=False)
    np.testing.assert_array_equal(without.logits(same, images), expected)
    assert step == 2 and np.abs(expected - steps.logits(steps.init(), images)).max() > 1e-3, "those of trained weights"


def test_a_data_set_without_images_is_as_large_as_the_real_one():
    for name in ("data=digits", "data.train_images=100"):
        config = configure(name).data
        real, black = catalogue.load(config), restore.without_images(config)
        for part in ("train_images", "train_labels", "test_images", "test_labels"):
            one, other = getattr(real, part), getattr(black, part)
            assert (one.shape, one.dtype) == (other.shape, other.dtype), part
        assert (real.classes, real.streamed) == (black.classes, black.streamed)


def test_steps_without_a_data_set_train_on_images_that_are_brought(folder):
    with_images, state, _ = restore.run(RunFolder(folder))
    without, same, _ = restore.run(RunFolder(folder), images=False)
    batch = np.arange(32)[None]
    data = with_images.dataset
    brought = {"images": data.train_images[batch], "labels": data.train_labels[batch]}
    _, losses, wrong = with_images.train(state, brought)
    _, expected, _ = without.train(same, brought)
    np.testing.assert_array_equal(losses, expected)
    assert np.isfinite(losses).all() and 0 <= wrong[0] <= 32


def test_images_of_another_kind_are_refused(folder):
    with pytest.raises(UserError, match="data=cifar10: its images differ in kind from those of digits"):
        restore.run(RunFolder(folder), configure("data=cifar10").data, images=False)


def test_a_run_on_its_way_is_taken_from_its_newest_checkpoint(tmp_path, folder, monkeypatch):
    asked = iter([False, True])
    monkeypatch.setattr(interrupt, "stop_requested", lambda _: next(asked))
    with pytest.raises(interrupt.Interrupted):
        train(configure(*TINY, "recipe.total_steps=3"), tmp_path, quiet=True)
    steps, state, step = restore.run(RunFolder(tmp_path))
    assert step == 2 and int(state.step) == 2 and steps.config.recipe.total_steps == 3
    start = restore.untrained(configure(*TINY)).state
    same = [
        np.array_equal(*leaves)
        for leaves in zip(jax.tree.leaves(state.params), jax.tree.leaves(start.params), strict=True)
    ]
    assert not all(same)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(UserError, match="there is no finished run in this folder"):
        restore.run(RunFolder(tmp_path))
