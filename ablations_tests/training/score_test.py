"""Top-1 and top-5 by hand."""

import numpy as np

from ablations.training.score import Score, rank


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
