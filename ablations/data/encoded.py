"""Images that stay encoded, in files, until they are asked for: what ImageNet has in place of an array in memory."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ablations.data import crops
from ablations.data.crops import Broken, Middle, Random
from ablations.errors import UserError

TEST_SCALE = 256 / 224  # He et al. 2015a: crops of 224 pixels from images whose shorter side is 256


class Source(Protocol):
    """Encoded images by number. Other processes get a copy of it, so it holds no open file and no image."""

    def read(self, number: int) -> bytes: ...

    def name(self, number: int) -> str:
        """What a person finds it by."""

    def stamp(self, number: int) -> str:
        """Another one, should the image be replaced by another."""


@dataclass(frozen=True)
class Encoded:
    """Some images of a source. Stands where an array (N, pixels, pixels, 3) uint8 would, of the middle of each.

    Indexing chooses and reads nothing; `np.asarray` decodes. Raises UserError where an image is broken.
    """

    source: Source
    numbers: np.ndarray
    pixels: int

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

        Raises UserError with its name where it is broken.
        """
        try:
            return crops.decode(self.source.read(self.numbers[i]), crop, random)
        except (Broken, OSError) as error:
            raise BrokenImage(
                f"{self.name(i)}: broken: {error}; mend or remove it, or leave such images out with data.broken=skip"
            ) from error

    def name(self, i: int) -> str:
        return self.source.name(self.numbers[i])


class BrokenImage(UserError):
    """An image that cannot be read or decoded."""


def middle(pixels: int, trained: int) -> Middle:
    """The crop of a test: of 256 pixels scaled to the size trained on, else of its own size (Sec. 5: 320 of 320)."""
    return Middle(pixels, round(TEST_SCALE * pixels) if pixels == trained else pixels)
