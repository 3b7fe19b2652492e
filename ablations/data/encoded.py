"""Images that stay encoded in files until they are needed: ImageNet does not fit in memory as an array."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ablations.data import crops
from ablations.data.crops import Broken, Middle, Random
from ablations.errors import UserError

TEST_SCALE = 256 / 224  # He et al. 2015a: crops of 224 pixels from images whose shorter side is 256


class Source(Protocol):
    """Encoded images by number. It is copied to other processes, so it holds no open file and no image."""

    def read(self, number: int) -> bytes: ...

    def name(self, number: int) -> str:
        """A name by which a person finds the image."""
        ...

    def stamp(self, number: int) -> str:
        """Changes when the image file changes."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Some images of a source, used like an array (N, pixels, pixels, 3) uint8 of the middle of each.

    upright: whether an image is turned as its EXIF data say.

    Indexing selects images and reads none; `np.asarray` decodes. Raises BrokenImage if an image is broken.
    """

    source: Source
    numbers: np.ndarray
    pixels: int
    upright: bool = True

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.pixels, self.pixels, 3

    def __getitem__(self, chosen) -> "Encoded":
        return replace(self, numbers=self.numbers[chosen])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        images = np.empty(self.shape, np.uint8)
        for i in range(len(self)):
            images[i] = self.decode(i, middle(self.pixels, self.pixels))
        return images if dtype is None else images.astype(dtype)

    def decode(self, i: int, crop: Middle | Random, random: np.random.Generator | None = None) -> np.ndarray:
        """The crop of the i-th image, (pixels, pixels, 3) uint8.

        Raises BrokenImage, with the image's name, if it cannot be read or decoded.
        """
        try:
            return self._decode(i, crop, random)
        except Broken as error:
            raise BrokenImage(
                f"{self.name(i)}: broken: {error}; repair or remove it, or skip broken images with data.broken=skip"
            ) from error

    def fault(self, i: int) -> str:
        """Why the i-th image cannot be read or decoded; "" if it can."""
        try:
            self._decode(i, middle(self.pixels, self.pixels))
        except Broken as error:
            return str(error)
        return ""

    def _decode(self, i: int, crop: Middle | Random, random: np.random.Generator | None = None) -> np.ndarray:
        try:
            encoded = self.source.read(self.numbers[i])
        except OSError as error:
            raise Broken(error.strerror or str(error)) from error
        return crops.decode(encoded, crop, random, self.upright)

    def name(self, i: int) -> str:
        return self.source.name(self.numbers[i])


class BrokenImage(UserError):
    """An image cannot be read or decoded."""


def middle(pixels: int, trained: int) -> Middle:
    """A test crop: from the image scaled to 8/7 of the crop if it has the training size, else to the crop's own size (Sec. 5)."""
    return Middle(pixels, round(TEST_SCALE * pixels) if pixels == trained else pixels)
