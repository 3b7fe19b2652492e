"""What the pixels of a picture file mean: 8-bit grey or RGB, upright. What has no such meaning is refused in words.

Of 16 bits the upper eight count. Transparent pixels show a white ground. Colour profiles are not applied: the published
results of the data sets are of the numbers as they stand. CMYK is read as Adobe writes it, a channel being (1 - ink) (1 - black).
"""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

MEANING = 2  # raised where a picture comes to mean other pixels, for what is kept of them
ORIENTATION = 0x0112  # EXIF: how a camera was held
BITS, PHOTOMETRIC, WHITE_IS_ZERO, SAMPLES, SIGNED = 258, 262, 0, 339, 2  # TIFF
ON_THE_SIDE = (5, 6, 7, 8)
LFS = b"version https://git-lfs"
# Of these, Pillow names whole numbers of 16 bits "I", too: PNG until its version 11, PPM to this day.
SIXTEEN_BITS = ("PNG", "PPM")


class Broken(Exception):
    """A picture cannot be decoded; the message is the reason."""


def opened(encoded: bytes) -> "Image.Image":
    """A file's picture, the first if it has several; its pixels are decoded later. Raises Broken."""
    from PIL import Image, UnidentifiedImageError  # here: data sets in memory need no PIL

    # Of sizes that are decoded all the same, of damaged EXIF and the like; what cannot be decoded raises.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        return Image.open(io.BytesIO(encoded))
    except UnidentifiedImageError as error:
        raise Broken(_unidentified(encoded)) from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise Broken(f"it has more than {most} million pixels; scale it down") from error


def _unidentified(encoded: bytes) -> str:
    if not encoded:
        return "the file is empty"
    if encoded.startswith(LFS):
        return "the file stands for one that Git LFS has not fetched; type: git lfs pull"
    return "it is no picture of a format that can be read, or its beginning is damaged"


def orientation(image: "Image.Image") -> int:
    """1 ... 8: how its EXIF data say that it is to be turned; 1, upright, where they say nothing."""
    if image.format == "TIFF":
        return 1  # Pillow turns it
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged, for which the pixels need not be
        return 1
    return found if found in range(1, 9) else 1


def upright(image: "Image.Image", how: int) -> "Image.Image":
    """The picture turned and mirrored as `orientation` says."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[how]) if how in turns else image


def halves(image: "Image.Image") -> bool:
    """Whether decoding leaves the lower half of its 16 bits away, as Pillow does for all but grey. Before it is decoded."""
    forms = [tile.args if isinstance(tile.args, str) else tile.args[0] for tile in getattr(image, "tile", ())]
    return not image.mode.startswith("I") and any(";16" in str(form) for form in forms)


def plain(image: "Image.Image") -> "Image.Image":
    """Its pixels in mode L or RGB. Raises Broken if nobody says which of their values are black and white."""
    from PIL import Image

    if kind := _without_black_and_white(image):
        raise Broken(
            f"its pixels are {kind}, and no file says which are black and white; save it with 8 or 16 bits, unsigned"
        )
    if image.mode.startswith("I"):
        return Image.fromarray(_upper_bits(image))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layer).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _without_black_and_white(image: "Image.Image") -> str:
    if SIGNED in getattr(image, "tag_v2", {}).get(SAMPLES, ()):
        return "signed numbers"
    if image.mode == "F":
        return "floating-point numbers"
    return "numbers of 32 bits" if image.mode == "I" and image.format not in SIXTEEN_BITS else ""


def _upper_bits(image: "Image.Image") -> np.ndarray:
    """The upper eight bits of grey of 9 to 16 bits, (H, W) uint8."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    bits = tags.get(BITS, (16,))[0]
    grey = (values >> (bits - 8)).astype(np.uint8)
    clear = image.info.get("transparency")  # one value of a PNG file
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # which Pillow minds in 8 bits, not in 16
        grey = 255 - grey
    return grey if clear is None else np.where(values == clear, np.uint8(255), grey)
