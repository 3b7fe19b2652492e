"""Mean and covariance of the colours of encoded images, for normalisation and colour augmentation.

Taken from a fixed sample of the training set, as in the authors' Torch code, and kept in `~/.cache/ablations/moments`.
"""

import contextlib
import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ablations.data import loader, picture
from ablations.data.encoded import Encoded, middle
from ablations.errors import UserError
from ablations.system import files
from ablations.system.files import write_whole

SAMPLE = 10_000  # images
BATCH = 50


@dataclass(frozen=True)
class Moments:
    """Moments of pixels in [0, 1]. mean_image: (H, W, C) float64; products: (C, C), the mean of x x^T over all pixels."""

    mean_image: np.ndarray
    products: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return self.mean_image.mean((0, 1))

    @property
    def covariance(self) -> np.ndarray:
        return self.products - np.outer(self.mean, self.mean)

    def normalization(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and divisor, as `augmentation.statistics`."""
        if kind == "per_pixel_mean":
            return self.mean_image.astype(np.float32), np.ones(1, np.float32)
        std = np.sqrt(np.maximum(np.diag(self.covariance), 1e-12))
        return self.mean.astype(np.float32), std.astype(np.float32)


def measure(images: Encoded | np.ndarray, workers: int | None) -> Moments:
    """The moments of a fixed sample of encoded images, read by so many workers, or of all images of an array.

    Raises UserError if every image of the sample is broken.
    """
    if isinstance(images, np.ndarray):
        return _mean(_sums(images[i : i + BATCH]) for i in range(0, len(images), BATCH))
    chosen = np.sort(np.random.RandomState(0).permutation(len(images))[:SAMPLE])  # stable across versions (NEP 19)
    sample = images[chosen]
    read_as = f"{images.pixels} {picture.MEANING} {images.upright}"
    stamps = "\n".join([read_as, *(sample.source.stamp(number) for number in sample.numbers)])
    kept = files.cache() / "moments" / f"{hashlib.sha256(stamps.encode()).hexdigest()[:32]}.npz"
    damage = OSError, EOFError, ValueError, KeyError, BadZipFile
    with contextlib.suppress(*damage), open(kept, "rb") as file, np.load(file) as arrays:
        return Moments(arrays["mean_image"], arrays["products"])
    batches = loader.InOrder(
        sample, np.zeros(len(sample), np.int32), middle(images.pixels, images.pixels), BATCH, skip=True
    )
    with loader.reading(batches, range(len(batches)), workers) as read:
        moments = _mean(_sums(batch["images"][batch["labels"] >= 0]) for batch in read)
    with contextlib.suppress(OSError):  # without a cache it is computed again
        _keep(kept, moments)
    return moments


def _sums(images: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of images, their sum and their products: whole numbers, which float64 adds exactly in any order and number of threads."""
    flat = images.reshape(-1, images.shape[-1]).astype(np.float64)
    return len(images), images.sum(0, dtype=np.float64), flat.T @ flat


def _mean(sums) -> Moments:
    count, total, products = 0, np.zeros(()), np.zeros(())
    for images, image_sum, product_sum in sums:
        count, total, products = count + images, total + image_sum, products + product_sum
    if not count:
        raise UserError("every image of the sample from which the mean is computed is broken")
    return Moments(total / (255 * count), products / (255**2 * count * math.prod(total.shape[:2])))


def _keep(path: Path, moments: Moments) -> None:
    file = io.BytesIO()
    np.savez(file, mean_image=moments.mean_image, products=moments.products)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, file.getbuffer())
