"""The result of a test: the loss, and the share of images whose class is not among the first guesses, or of pixels."""

from dataclasses import dataclass

import numpy as np

from ablations.data.config import IGNORED
from ablations.networks.unit import middle


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

    def in_words(self, guesses: int = 1) -> str:
        """One line about it. guesses: those of a second error, 1 for none."""
        more = f", top-{guesses} {self.error_percent(guesses):.2f} %" if guesses > 1 else ""
        wrong = f"({self.wrong()} of {self.images:,} images){more}"
        return f"test error {self.error_percent():.2f} % {wrong}, loss {self.loss:.4f}"


def rank(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the right one, 0 if it is the first guess: (N, classes), (N,) -> (N,).

    Among equal logits the lowest class comes first, as in argmax. If a logit is not finite, the right class comes last.
    """
    right = np.take_along_axis(logits, labels[:, None], 1)
    tied = (logits == right) & (np.arange(logits.shape[1])[None] < labels[:, None])
    return np.where(np.isfinite(logits).all(1), (logits > right).sum(1) + tied.sum(1), logits.shape[1])


@dataclass(frozen=True)
class PixelScore:
    """For each image, the cross-entropy summed over its pixels, and its confusions.

    confusions: (N, classes, classes + 1): how many pixels of a class (the second axis) got which prediction, the last for
        pixels whose logits are not finite. Ignored pixels are in neither.
    """

    losses: np.ndarray
    confusions: np.ndarray

    @property
    def images(self) -> int:
        return len(self.losses)

    @property
    def loss(self) -> float:
        return float(self.losses.sum() / self._total.sum())

    def error_percent(self) -> float:
        """The share of wrong pixels."""
        return float(100 * (self._total.sum() - np.trace(self._total)) / self._total.sum())

    @property
    def iou_percent(self) -> float:
        """Intersection over union, of all test images together: of the foreground, class 1, if there are two classes, else
        the mean over the classes. A class that is nowhere, neither in a mask nor predicted, counts as found.
        """
        classes = len(self._total)
        right, predicted = np.diagonal(self._total), self._total[:, :classes].sum(0)
        union = self._total.sum(1) + predicted - right
        iou = np.where(union, right / np.maximum(union, 1), 1.0)
        return float(100 * (iou[1] if classes == 2 else iou.mean()))

    def in_words(self, _: int = 1) -> str:
        """One line about it."""
        of = f"of the pixels of {self.images:,} images"
        return f"test error {self.error_percent():.2f} % {of}, IoU {self.iou_percent:.2f} %, loss {self.loss:.4f}"

    @property
    def _total(self) -> np.ndarray:
        return self.confusions.sum(0)


def predict(logits: np.ndarray) -> np.ndarray:
    """The likeliest class of each pixel, (N, H, W, classes) -> (N, H, W); `classes` if its logits are not finite."""
    return np.where(np.isfinite(logits).all(-1), logits.argmax(-1), logits.shape[-1])


def confuse(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`PixelScore.confusions`, from logits (N, H', W', classes) and the middle of label maps (N, H, W)."""
    count, height, width, classes = logits.shape
    labels = middle(labels, height, width).astype(np.int64)
    images = np.broadcast_to(np.arange(count)[:, None, None], labels.shape)
    cells = (images * classes + labels) * (classes + 1) + predict(logits)
    counts = np.bincount(cells[labels != IGNORED], minlength=count * classes * (classes + 1))
    return counts.reshape(count, classes, classes + 1)
