"""From an encoded image to the square of pixels that the network sees: decode, scale and crop, for ImageNet.

Flips and colours come later, in the compiled step. Scaling and cropping are one call: only the crop is resampled (bilinear,
over all the pixels that it covers), which gives the same pixels as scaling the whole image first. Sec. 5 and He et al.
2015a, 3.4; the authors' Torch code for areas and aspect ratios.
Deviation: bilinear over all the pixels that are covered; Torch: bicubic.
"""

import math
from dataclasses import dataclass

import numpy as np

from ablations.data import picture
from ablations.data.picture import Broken

SHORTER_SIDE = 256 / 224, 480 / 224  # Sec. 5: in [256, 480] for crops of 224 pixels
AREA = 0.08, 1.0  # Szegedy et al. 2015; the authors' Torch code
ASPECT = 3 / 4, 4 / 3
TRIES = 10  # the authors' Torch code
KEPT = 2  # a JPEG image is decoded to at least so many pixels for each pixel of the crop
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the image


@dataclass(frozen=True)
class Middle:
    """The middle `pixels` x `pixels` of an image scaled to this shorter side."""

    pixels: int
    shorter_side: int

    def box(self, width: int, height: int, _random=None) -> Box:
        w, h = scaled(width, height, self.shorter_side)
        return _in_image((w - self.pixels) // 2, (h - self.pixels) // 2, self.pixels, (w, h), (width, height))


@dataclass(frozen=True)
class Random:
    """A random `pixels` x `pixels` crop; `scale` is `data.scale`."""

    pixels: int
    scale: str

    def box(self, width: int, height: int, random: np.random.Generator | None) -> Box:
        if random is None:
            raise ValueError("a random crop needs random numbers")
        return (self._area_aspect if self.scale == "area_aspect" else self._shorter_side)(width, height, random)

    def _shorter_side(self, width, height, random) -> Box:
        least, most = (round(ratio * self.pixels) for ratio in SHORTER_SIDE)
        if self.scale == "none":
            most = least
        w, h = scaled(width, height, int(random.integers(least, most + 1)))
        left, top = (int(random.integers(0, side - self.pixels + 1)) for side in (w, h))
        return _in_image(left, top, self.pixels, (w, h), (width, height))

    def _area_aspect(self, width, height, random) -> Box:
        for _ in range(TRIES):
            area, aspect = random.uniform(*AREA) * width * height, random.uniform(*ASPECT)
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if random.random() < 0.5:
                w, h = h, w
            if 0 < w <= width and 0 < h <= height:
                left, top = (int(random.integers(0, most + 1)) for most in (width - w, height - h))
                return left, top, left + w, top + h
        return Middle(self.pixels, self.pixels).box(width, height)


def scaled(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """(width, height) of an image scaled to this shorter side; keeps the aspect ratio."""
    if width < height:
        return shorter_side, round(height / width * shorter_side)
    return round(width / height * shorter_side), shorter_side


def _in_image(left: int, top: int, pixels: int, scaled: tuple[int, int], size: tuple[int, int]) -> Box:
    """A square of the scaled image, in pixels of the image before scaling, which has this `size`."""
    across, down = size[0] / scaled[0], size[1] / scaled[1]
    return left * across, top * down, (left + pixels) * across, (top + pixels) * down


def decode(
    encoded: bytes, crop: Middle | Random, random: np.random.Generator | None = None, upright: bool = True
) -> np.ndarray:
    """An image file's content -> (pixels, pixels, 3) uint8. upright: whether to turn it as its EXIF data say.

    Raises Broken, with the reason, if it cannot be decoded.
    """
    from PIL import Image  # here: data sets in memory need no PIL

    try:
        with picture.opened(encoded) as image:
            held = picture.orientation(image) if upright else 1
            width, height = _turned(image.size, held)
            left, top, right, bottom = crop.box(width, height, random)
            # A JPEG decoder can return half, a quarter or an eighth of the size for less work: enough for a large crop.
            keep = KEPT * crop.pixels / min(right - left, bottom - top)
            image.draft("RGB", _turned((math.ceil(width * keep), math.ceil(height * keep)), held))
            whole = picture.upright(picture.plain(image), held)
            across, down = whole.width / width, whole.height / height
            box = left * across, top * down, min(right * across, whole.width), min(bottom * down, whole.height)
            square = whole.resize((crop.pixels, crop.pixels), Image.Resampling.BILINEAR, box)
            return np.asarray(square if square.mode == "RGB" else square.convert("RGB"))
    except Broken:
        raise
    except Exception as error:  # the decoders' errors have no common class
        raise Broken(str(error).split("\n")[0] or type(error).__name__) from error


def _turned(size: tuple[int, int], held: int) -> tuple[int, int]:
    return (size[1], size[0]) if held in picture.ON_THE_SIDE else size
