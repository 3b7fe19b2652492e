"""Top-1 and top-5, and of pixels error and IoU, by hand."""

import numpy as np
import pytest

from ablations.training.score import PixelScore, Score, confuse, rank


def by_hand(logits, labels, guesses):
    wrong = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        best = sorted(range(len(row)), key=lambda i: (-row[i], i))[:guesses]
        wrong += label not in best
    return 100 * wrong / len(labels)


def test_against_sorting_each_row():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(500, 20)).astype(np.float32), random.integers(0, 20, 500)
    logits[:100] = logits[:100].round()  # many are equal
    score = Score(np.zeros(500), rank(logits, labels))
    for guesses in (1, 5, 19):
        assert score.error_percent(guesses) == by_hand(logits, labels, guesses)
    assert score.error_percent(1) == 100 * (logits.argmax(1) != labels).mean()
    assert 0 < score.wrong(5) < score.wrong(1) < 500 and score.wrong(20) == 0


def test_what_is_not_a_number_is_wrong():
    logits = np.array([[0, np.nan, 0, 0, 0, 0], [np.nan] * 6, [9, 0, 0, 0, 0, 0]], np.float32)
    score = Score(np.array([1.0, 2.0, 6.0]), rank(logits, np.zeros(3, int)))
    assert score.wrong(1) == score.wrong(5) == 2 and score.loss == 3


def pixels(predicted, masks, classes=2):
    """The score of predictions and label maps (N, H, W), both as lists."""
    logits = np.eye(classes, dtype=np.float32)[np.array(predicted)]
    return PixelScore(np.zeros(len(logits)), confuse(logits, np.array(masks, np.uint8)))


def test_iou_of_two_classes_is_that_of_the_foreground():
    score = pixels([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], [[[0, 1, 1, 0]], [[0, 0, 1, 0]]])
    assert score.iou_percent == 25  # over all images: one of four
    assert score.error_percent() == 100 * 3 / 8


def test_iou_of_more_classes_is_their_mean():
    score = pixels([[[0, 1, 1, 0]]], [[[0, 1, 0, 0]]], classes=3)
    assert score.iou_percent == pytest.approx(100 * (2 / 3 + 1 / 2 + 1) / 3), "class 2 is nowhere, and not predicted"


def test_ignored_pixels_are_in_no_metric():
    assert pixels([[[1, 1, 0]]], [[[1, 255, 255]]]).iou_percent == 100
    assert pixels([[[1, 1, 0]]], [[[1, 255, 255]]]).error_percent() == 0


def test_pixels_whose_logits_are_not_finite_are_wrong():
    logits = np.full((1, 1, 2, 2), np.nan, np.float32)
    score = PixelScore(np.zeros(1), confuse(logits, np.array([[[0, 1]]], np.uint8)))
    assert (score.error_percent(), score.iou_percent) == (100, 0)


def test_of_a_network_whose_maps_shrink_the_middle_of_the_mask_is_tested():
    logits = np.eye(2, dtype=np.float32)[np.ones((1, 1, 1), int)]
    mask = np.zeros((1, 3, 3), np.uint8)
    mask[0, 1, 1] = 1
    assert confuse(logits, mask).tolist() == [[[0, 0, 0], [0, 1, 0]]]
