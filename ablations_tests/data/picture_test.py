"""Pictures of every kind against values computed by hand, and those that have none against the reason that is given."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from ablations.data import picture
from ablations.data.crops import Broken, Middle, decode
from ablations_tests.pictures import png

GREY16 = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFEFF, 0xFFFF]] * 2, np.uint16)
UPPER = np.array([[0, 0, 1, 0x12], [0x7F, 0x80, 0xFE, 0xFF]] * 2, np.uint8)


def saved(image, form="PNG", **options) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return file.getvalue()


def tiff(values: np.ndarray, sample_format: int, photometric: int = 1, bits: int | None = None) -> bytes:
    """A TIFF file by its specification: one strip, little-endian."""
    height, width = values.shape
    content = values.tobytes() if bits is None else bytes.fromhex("".join(f"{v:03x}" for v in values.ravel()))
    bits = bits or 8 * values.itemsize
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: len(content), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    place = 8 + len(content) + len(content) % 2
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", place) + content.ljust(place - 8, b"\0") + directory


def pixels(encoded: bytes) -> np.ndarray:
    """All pixels of a picture whose sides are equal, (H, W, 3)."""
    with Image.open(io.BytesIO(encoded)) as image:
        (side,) = set(image.size)
    return decode(encoded, Middle(side, side)).astype(int)


@pytest.mark.parametrize(
    "encoded",
    [
        saved(GREY16),
        saved(GREY16, "TIFF"),
        saved(GREY16, "PPM"),
        tiff(GREY16, 1),
        tiff(0xFFFF - GREY16, 1, photometric=0),
        png(4, 4, 16, 2, b"".join(b"\0" + row.astype(">u2").repeat(3).tobytes() for row in GREY16)),
        tiff(GREY16 >> 4, 1, bits=12),
    ],
    ids=["png", "tiff", "pgm", "by hand", "white is zero", "colours", "12 bits"],
)
def test_of_16_bits_the_upper_eight_count(encoded):
    np.testing.assert_array_equal(pixels(encoded), np.repeat(UPPER[..., None], 3, -1))


@pytest.mark.parametrize(
    "encoded, reason",
    [
        (saved(np.eye(4, dtype=np.float32), "TIFF"), "its pixels are floating-point numbers, and no file says which are b"),
        (saved(np.eye(4, dtype=np.int32), "TIFF"), "its pixels are signed numbers, .*; save it with 8 or 16 bits, unsigned"),
        (tiff(np.full((4, 4), -3, np.int16), 2), "its pixels are signed numbers"),
        (tiff(np.full((4, 4), -3, np.int8), 2), "its pixels are signed numbers"),
        (tiff(np.full((4, 4), 3, np.uint32), 1), "its pixels are numbers of 32 bits"),
        (png(20_000, 10_000, 1, 0, b""), "it has more than 178 million pixels; scale it down"),
        (b"", "the file is empty"),
        (b"<html><p>404</p>", "it is no picture of a format that can be read, or its beginning is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS has not fetched; type: git lfs pull"),
        (png(4, 4, 8, 0, b"\0" * 12), "truncated"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_in_words(encoded, reason):
    with pytest.raises(Broken, match=reason):
        decode(encoded, Middle(2, 2))


RED, HALF = (255, 0, 0), (200, 100, 50)


def transparent(mode, **options):
    """Two columns: one opaque and red, one of HALF, of which 51 of 255 are seen."""
    image = Image.new("RGBA", (2, 2), (*RED, 255))
    image.paste((*HALF, 51), (1, 0, 2, 2))
    if mode == "P":
        image = Image.new("P", (2, 2))
        image.putpalette([*RED, *HALF])
        image.paste(1, (1, 0, 2, 2))
        options["transparency"] = bytes([255, 51])
    return saved(image, **options)


@pytest.mark.parametrize(
    "encoded", [transparent("RGBA"), transparent("RGBA", form="TIFF"), transparent("P")], ids=["png", "tiff", "palette"]
)
def test_transparent_pixels_show_a_white_ground(encoded):
    """51 / 255 is a fifth: 255 - (255 - 200) / 5 = 244, 255 - (255 - 100) / 5 = 224, 255 - (255 - 50) / 5 = 214."""
    np.testing.assert_array_equal(pixels(encoded), [[RED, (244, 224, 214)]] * 2)


def test_of_a_transparent_colour_nothing_is_seen():
    """One value of grey or colours, a place of a palette (GIF)."""
    row = b"\0" + bytes([7, 9])
    for clear, expected in ((7, [255, 9]), (8, [7, 9])):
        grey = pixels(png(2, 2, 8, 0, row * 2, struct.pack(">H", clear)))
        np.testing.assert_array_equal(grey[..., 0], [expected] * 2)
    wide = b"\0" + struct.pack(">2H", 0x0700, 0x0701)
    np.testing.assert_array_equal(pixels(png(2, 2, 16, 0, wide * 2, struct.pack(">H", 0x0700)))[..., 0], [[255, 7]] * 2)
    colours = b"\0" + bytes([1, 2, 3, 4, 5, 6])
    found = pixels(png(2, 2, 8, 2, colours * 2, struct.pack(">3H", 1, 2, 3)))
    np.testing.assert_array_equal(found, [[(255, 255, 255), (4, 5, 6)]] * 2)
    gif = Image.fromarray(np.array([[0, 1], [0, 1]], np.uint8)).convert("P")
    gif.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(pixels(saved(gif, "GIF", transparency=0)), [[(255, 255, 255), (40, 50, 60)]] * 2)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_what_is_left_of_the_light(form):
    """255 (1 - ink) (1 - black), whether or not the file holds it inverted, as Adobe's do."""
    options = {"quality": 100} if form == "JPEG" else {}
    expected = [255 * (1 - ink / 255) * (1 - 30 / 255) for ink in (10, 100, 200)]
    found = pixels(saved(Image.new("CMYK", (8, 8), (10, 100, 200, 30)), form, **options))
    assert np.abs(found - expected).max() < 1


def arrow():
    """Dark in its upper left part only, so that no two of the eight ways of turning it are alike."""
    array = np.full((32, 64, 3), 255, np.uint8)
    array[:8, :32] = 0
    return array


STORED = {  # EXIF 2.3, 4.6.4: where row 0 and column 0 of what is stored belong; from upright to stored
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_as_its_exif_data_say(form):
    crop = Middle(16, 16)
    expected = decode(saved(arrow()), crop).astype(int)
    for how, stored in STORED.items():
        exif = Image.Exif()
        exif[picture.ORIENTATION] = how
        options = {"tiffinfo": {picture.ORIENTATION: how}} if form == "TIFF" else {"exif": exif}
        encoded = saved(np.ascontiguousarray(stored(arrow())), form, **options)
        assert np.abs(decode(encoded, crop) - expected).max() < 12, how
        if form != "TIFF":  # which Pillow turns
            as_stored = decode(saved(np.ascontiguousarray(stored(arrow()))), crop).astype(int)
            assert np.abs(decode(encoded, crop, upright=False) - as_stored).max() < 12, how


@pytest.mark.parametrize("form, exif", [("JPEG", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"), ("PNG", b"XX")])
def test_damaged_exif_data_leave_the_picture_as_it_is(form, exif):
    found = decode(saved(arrow(), form, exif=exif), Middle(16, 16))
    assert np.abs(found - decode(saved(arrow()), Middle(16, 16)).astype(int)).max() < 12


def test_colour_profiles_are_not_applied():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert (pixels(saved(Image.new("RGB", (2, 2), HALF), icc_profile=profile)) == HALF).all()


def test_one_pixel_and_a_hundred_million():
    assert (decode(saved(Image.new("RGB", (1, 1), HALF)), Middle(224, 256)) == HALF).all()
    line = saved(Image.new("RGB", (1, 5000), HALF))
    assert (decode(line, Middle(8, 9)) == HALF).all()
    rows = b"\0" + b"\xff" * 625 + b"\0" * 625  # 1 bit a pixel: its left half is white
    found = decode(png(10_000, 10_000, 1, 0, rows * 10_000), Middle(8, 8))
    # Bilinear over two pixels' width: an eighth of the triangle lies beyond the edge.
    np.testing.assert_array_equal(found[:, :, 0], [[255, 255, 255, 223, 32, 0, 0, 0]] * 8)
