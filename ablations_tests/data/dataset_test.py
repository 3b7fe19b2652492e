"""Splits and subsets of any data set: fixed, stratified, disjoint; and what of a data set decides a result."""

import hashlib

import numpy as np
import pytest

from ablations.config.compose import parse
from ablations.data import catalogue
from ablations.data import dataset as data
from ablations.data.config import DataConfig
from ablations.data.dataset import Dataset
from ablations.errors import UserError


def dataset(classes=10, a_class=50, test=20):
    """Each image holds its own number, so that it can be found again."""
    labels = np.random.default_rng(0).permutation(np.arange(classes * a_class) % classes).astype(np.int32)
    images = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 1, 1, 4)
    return Dataset("made", classes, images, labels, images[:test], labels[:test])


def numbers(images):
    return np.ascontiguousarray(images).reshape(-1).view(np.uint32)


def test_the_stratified_order_is_the_same_for_good():
    order = data.stratified(np.arange(50_000) % 10)
    assert sorted(order) == list(range(50_000))
    assert hashlib.sha256(order.astype("<i4").tobytes()).hexdigest()[:16] == "2eadc4e2177cf343"


@pytest.mark.parametrize("images", (10, 57, 200, 499, 500))
def test_a_subset_has_the_share_of_each_class(images):
    whole = dataset()
    few = data.subset(whole, images)
    counts = np.bincount(few.train_labels, minlength=10)
    assert len(few.train_images) == counts.sum() == images and counts.max() - counts.min() <= (images % 10 > 0)
    assert (few.train_labels == whole.train_labels[numbers(few.train_images)]).all()
    assert (numbers(few.test_images) == numbers(whole.test_images)).all()


def test_subsets_are_random_nested_and_end_in_the_whole_set():
    whole = dataset()
    one, two = (set(numbers(data.subset(whole, images).train_images)) for images in (50, 120))
    assert one < two and max(one) > 400 and min(one) < 100
    everything = data.subset(whole, 500)
    assert (everything.train_images == whole.train_images).all()
    assert (everything.train_labels == whole.train_labels).all()


@pytest.mark.parametrize("images", (9, 501))
def test_a_subset_that_cannot_be_says_what_can(images):
    with pytest.raises(UserError, match=rf"data.train_images={images}: .* 500 images of 10 classes; choose 10 ... 500"):
        data.subset(dataset(), images)


def test_the_validation_set_is_a_stratified_tenth_and_apart_from_the_rest():
    whole = dataset()
    held = data.hold_out(whole)
    train, validation = numbers(held.train_images), numbers(held.test_images)
    assert len(train) == 450 and len(validation) == 50
    assert sorted([*train, *validation]) == list(range(500))
    assert (np.bincount(held.test_labels) == 5).all() and (np.bincount(held.train_labels) == 45).all()
    assert (held.test_labels == whole.train_labels[validation]).all()
    assert (held.train_labels == whole.train_labels[train]).all()
    assert (numbers(data.hold_out(whole).test_images) == validation).all()


def test_load_takes_the_subset_from_what_the_split_leaves():
    digits = catalogue.load(DataConfig("digits"))
    held = catalogue.load(DataConfig("digits", split="train_val"))
    assert len(held.train_images) == 1293 and len(held.test_images) == 144
    few = catalogue.load(DataConfig("digits", split="train_val", train_images=300))
    assert len(few.train_images) == 300 and (few.test_images == held.test_images).all()
    pixels = {image.tobytes() for image in held.train_images}
    assert all(image.tobytes() in pixels for image in few.train_images)
    share = np.bincount(few.train_labels) / 300 - np.bincount(digits.train_labels) / 1437
    assert np.abs(share).max() < 0.01
    with pytest.raises(UserError, match=r"data.train_images=1294: the training set has 1,293 images"):
        catalogue.load(DataConfig("digits", split="train_val", train_images=1294))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"split": "val"}, "data.split=val: legal are train_test, train_val"),
        ({"train_images": 0}, "data.train_images=0: must be at least 1"),
        ({"workers": -3}, "data.workers=-3: must be at least 0"),
        ({"broken": "skip"}, "data.broken=skip: only for .* data=imagenet and data=image_folder; digits is in memory"),
    ],
)
def test_illegal_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DataConfig("digits", **settings)


@pytest.mark.parametrize("name", ["mask_folder", "oxford_pet"])
def test_masks_are_in_memory_so_none_is_skipped(name):
    with pytest.raises(ValueError, match=f"{name} is in memory, and always refuses what it cannot read"):
        DataConfig(name, crop=8, root="~/scans" if name == "mask_folder" else None, broken="skip")


def test_places_decide_no_result_and_choices_do():
    from ablations.config import compose
    from ablations.config import jobs as sweep

    def resolved(*overrides):
        return parse(compose.compose(context, list(overrides))).resolved()

    with compose.hydra() as context:
        default = resolved("data=cifar10")
        assert default["data"] == {
            "name": "cifar10", "pad": 4, "flip": True, "scale": "none", "split": "train_test", "train_images": None,
            "crop": None, "colour": "none", "test_crops": [], "broken": "refuse", "root": None,
        }  # fmt: skip
        assert default == resolved("data=cifar10", "data.archive_dir=a", "data.data_dir=b", "data.verify=false")
        for choice in ("data.split=train_val", "data.train_images=5000", "data=cifar100"):
            assert default != resolved("data=cifar10", choice)
        jobs = sweep.plan(context, ["data=cifar10", "data.archive_dir=a", "data.train_images=5000"])
        assert jobs[0].config.row == "data=cifar10,data.train_images=5000"
