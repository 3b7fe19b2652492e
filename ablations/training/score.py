"""The result of a test: the loss, and the share of images whose class is not among the first guesses."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """For each image, its cross-entropy, and how many classes the network finds likelier than the right one."""

    losses: np.ndarray
    ranks: np.ndarray

    @property
    def images(self) -> int:
        return len(self.ranks)

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def wrong(self, guesses: int = 1) -> int:
        """The number of images whose class is not among the first `guesses`."""
        return int((self.ranks >= guesses).sum())

    def error_percent(self, guesses: int = 1) -> float:
        """The top-1 error, or the top-5 error for 5 guesses."""
        return 100 * self.wrong(guesses) / self.images


def rank(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the right one, 0 if it is the first guess: (N, classes), (N,) -> (N,).

    Among equal logits the lowest class comes first, as in argmax. If a logit is not finite, the right class comes last.
    """
    right = np.take_along_axis(logits, labels[:, None], 1)
    tied = (logits == right) & (np.arange(logits.shape[1])[None] < labels[:, None])
    return np.where(np.isfinite(logits).all(1), (logits > right).sum(1) + tied.sum(1), logits.shape[1])
