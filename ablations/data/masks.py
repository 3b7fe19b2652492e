"""From an image file and the file of its mask to the square that the network sees, and its label map."""

from collections.abc import Sequence

import numpy as np

from ablations.data import crops, picture
from ablations.data.config import IGNORED
from ablations.data.picture import Broken


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

    try:
        labels = _labels(_read(mask), values, ignored)
    except Broken as error:
        raise Unfit(f"the mask cannot be decoded: {error}") from error
    height, width = labels.shape
    crop = crops.Middle(pixels, pixels)
    try:
        size, turned = _size(image)
        square = crops.decode(image, crop)
    except Broken as error:
        raise Unfit(f"the image cannot be decoded: {error}") from error
    if size != (width, height):
        raise Unfit(
            f"the image has {size[0]}x{size[1]} pixels{turned} and its mask {width}x{height}; they must be equal"
        )
    box = crop.box(width, height)
    labels = Image.fromarray(labels).resize((pixels, pixels), Image.Resampling.NEAREST, box)
    return square, np.asarray(labels)


def _size(image: bytes) -> tuple[tuple[int, int], str]:
    """(width, height) of an image that stands upright, and words for an image that lies on its side in the file."""
    with picture.opened(image) as opened:
        lies = picture.orientation(opened) in picture.ON_THE_SIDE
        return (
            (opened.height, opened.width) if lies else opened.size
        ), ", turned as its EXIF data say," if lies else ""


def _read(mask: bytes) -> np.ndarray:
    """The values of a mask's pixels, (H, W); of a palette the indices, which are what programs mean by them.

    Raises Broken if it cannot be decoded, Unfit if a pixel has no single value.
    """
    with picture.opened(mask) as file:
        try:
            halved = picture.halves(file)
            upright = picture.upright(file, picture.orientation(file))
            values = np.asarray(upright.convert("L") if file.mode in ("1", "LA") else upright)
        except Exception as error:  # the decoders' errors have no common class
            raise Broken(str(error).split("\n")[0] or type(error).__name__) from error
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():  # grey, saved in colours
        values = values[..., 0]
    if values.ndim != 2:
        raise Unfit("the mask is in colours; a mask has one value for each pixel, that of its class")
    if halved:
        raise Unfit("the mask is in colours of 16 bits, of which 8 would be lost; save it in grey")
    return values


def _labels(mask: np.ndarray, values: Sequence[int], ignored: int | None) -> np.ndarray:
    labels = np.full(mask.shape, IGNORED, np.uint8)
    unknown = np.ones(mask.shape, bool)
    for label, value in enumerate(values):
        labels[mask == value] = label
        unknown &= mask != value
    unknown &= mask != ignored if ignored is not None else True
    if unknown.any():
        found = [f"{value:g}" for value in np.unique(mask[unknown])]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise Unfit(
            f"the mask has the values {', '.join(found[:5])}{more}, which are of no class; data.values lists "
            f"those of the classes, now {list(values)}, and data.ignored one for pixels of no class"
        )
    return labels
