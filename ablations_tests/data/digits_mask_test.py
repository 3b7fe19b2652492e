import hashlib

import numpy as np
import pytest

from ablations.data import catalogue, digits, digits_mask
from ablations.data.config import DataConfig

CONFIG = DataConfig("digits_mask")


@pytest.fixture(scope="module")
def dataset():
    return catalogue.load(CONFIG)


def test_it_is_what_the_catalogue_says(dataset):
    kind = catalogue.kind(CONFIG)
    for images, masks, count in (
        (dataset.train_images, dataset.train_labels, kind.train),
        (dataset.test_images, dataset.test_labels, kind.test),
    ):
        assert images.shape == (count, *kind.image) and masks.shape == (count, *kind.image[:2])
        assert images.dtype == masks.dtype == np.uint8 and set(np.unique(masks)) == {0, 1}
    assert (dataset.classes, kind.task) == (2, "segmentation")


def test_it_is_the_same_for_everyone(dataset):
    """NumPy's RandomState is fixed for good, and so are these bytes."""
    digest = hashlib.sha256()
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(array.tobytes())
    assert digest.hexdigest()[:16] == "5cccbb6a0dc4401e"


def test_the_best_threshold_finds_two_thirds(dataset):
    """67.8 % IoU and 11.5 % wrong pixels in another draw of such compositions."""
    found = dataset.test_images[..., 0] > 255 * 1.5 / 3
    ink = dataset.test_labels == 1
    assert 0.66 < (found & ink).sum() / (found | ink).sum() < 0.70
    assert 0.11 < (found != ink).mean() < 0.13


def test_noise_aside_a_composition_is_four_digits_and_its_mask_their_ink(monkeypatch):
    monkeypatch.setattr(digits_mask, "NOISE", 0)
    source = digits.load(DataConfig("digits")).test_images
    images, masks = digits_mask.compositions(source, 20, 3)
    values = images[..., 0] / 255 * 3 - 1
    np.testing.assert_array_equal(masks, values >= 0.5 - 1 / 170)  # half a step of uint8
    known = {np.round(digit[..., 0] / 255 * 16).astype(int).tobytes() for digit in source}
    for value in np.abs(np.round(values * 16)).astype(int):
        turned = (np.roll(value, (row, column), (0, 1))[:8, :8] for row in range(16) for column in range(16))
        assert sum(np.ascontiguousarray(part).tobytes() in known for part in turned) >= 4


def test_a_validation_split_and_a_part_of_it_keep_images_and_masks_together(dataset):
    part = catalogue.load(DataConfig("digits_mask", split="train_val", train_images=64))
    assert catalogue.sizes(DataConfig("digits_mask", split="train_val", train_images=64)) == (64, 1_280)
    assert part.train_images.shape == (64, 16, 16, 1) and part.test_labels.shape == (1_280, 16, 16)
    whole = {
        image.tobytes(): mask.tobytes() for image, mask in zip(dataset.train_images, dataset.train_labels, strict=True)
    }
    for image, mask in zip(part.test_images, part.test_labels, strict=True):
        assert whole[image.tobytes()] == mask.tobytes()
