"""From an image file and the file of its mask to the square that the network sees, and its label map."""

import io
from collections.abc import Sequence

import numpy as np

from ablations.data import crops
from ablations.data.config import IGNORED


class Unfit(Exception):
    """An image and its mask cannot be used; the message is the reason."""


def pair(
    image: bytes, mask: bytes, pixels: int, values: Sequence[int], ignored: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The middle `pixels` x `pixels` of an image scaled to that shorter side, (pixels, pixels, 3) uint8, and the labels of
    the same square, (pixels, pixels) uint8; no label is made from neighbours.

    values, ignored: as in `MaskFolderConfig`. Raises Unfit if one of them is broken, if their sizes differ, or if the mask
    has another value.
    """
    from PIL import Image

    labels = _labels(_read(mask), values, ignored)
    height, width = labels.shape
    try:
        size = Image.open(io.BytesIO(image)).size
        crop = crops.Middle(pixels, pixels)
        square = crops.decode(image, crop)
    except (crops.Broken, OSError) as error:
        raise Unfit(f"the image cannot be decoded: {error}") from error
    if size != (width, height):
        raise Unfit(f"the image has {size[0]}x{size[1]} pixels and its mask {width}x{height}; they must be equal")
    box = crop.box(width, height)
    labels = Image.fromarray(labels).resize((pixels, pixels), Image.Resampling.NEAREST, box)
    return square, np.asarray(labels)


def _read(mask: bytes) -> np.ndarray:
    """The values of a mask's pixels, (H, W); of a palette the indices, which are what programs mean by them."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(mask)) as file:
            values = np.asarray(file.convert("L") if file.mode in ("1", "LA") else file)
    except Exception as error:  # the decoders' errors have no common class
        raise Unfit(f"the mask cannot be decoded: {str(error).splitlines()[0]}") from error
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():  # grey, saved in colours
        values = values[..., 0]
    if values.ndim != 2:
        raise Unfit("the mask is in colours; a mask has one value for each pixel, that of its class")
    return values


def _labels(mask: np.ndarray, values: Sequence[int], ignored: int | None) -> np.ndarray:
    labels = np.full(mask.shape, IGNORED, np.uint8)
    unknown = np.ones(mask.shape, bool)
    for label, value in enumerate(values):
        labels[mask == value] = label
        unknown &= mask != value
    unknown &= mask != ignored if ignored is not None else True
    if unknown.any():
        found = sorted({int(value) for value in np.unique(mask[unknown])})
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise Unfit(
            f"the mask has the values {', '.join(map(str, found[:5]))}{more}, which are of no class; data.values lists "
            f"those of the classes, now {list(values)}, and data.ignored one for pixels of no class"
        )
    return labels
