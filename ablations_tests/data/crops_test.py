"""Crops against scaling the whole image first, against what the paper and the Torch code say, and broken files."""

import io

import numpy as np
import pytest
from PIL import Image

from ablations.data import crops
from ablations.data.crops import Broken, Middle, Random, decode
from ablations_tests import pictures

BILINEAR = Image.Resampling.BILINEAR


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def resized_then_cropped(image, shorter_side, left, top, pixels):
    """As torchvision does it."""
    width, height = image.size
    scale = shorter_side / min(width, height)
    size = tuple(shorter_side if side == min(width, height) else round(side * scale) for side in (width, height))
    return np.asarray(image.resize(size, BILINEAR).crop((left, top, left + pixels, top + pixels))), size


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300), (90, 80)])
def test_the_middle_is_that_of_the_scaled_image(size):
    image = pictures.picture(3, *size)
    for crop in (Middle(224, 256), Middle(320, 320)):
        _, (width, height) = resized_then_cropped(image, crop.shorter_side, 0, 0, 1)
        left, top = (width - crop.pixels) // 2, (height - crop.pixels) // 2
        expected, _ = resized_then_cropped(image, crop.shorter_side, left, top, crop.pixels)
        difference = np.abs(decode(png(image), crop).astype(int) - expected)
        assert difference.max() <= 2 and difference.mean() < 0.1


class Chosen:
    """Draws what it is told."""

    def __init__(self, *values):
        self.values, self.ranges = list(values), []

    def integers(self, low, high):
        self.ranges.append((low, high))
        return self.values.pop(0)

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return self.values.pop(0)

    def random(self):
        return self.values.pop(0)


def test_shorter_side():
    """Sec. 5: the shorter side random in [256, 480], then a random 224 x 224 crop."""
    image, chosen = pictures.picture(4, 500, 375), Chosen(300, 176, 76)
    found = decode(png(image), Random(224, "shorter_side"), chosen)
    assert chosen.ranges == [(256, 481), (0, 400 - 224 + 1), (0, 300 - 224 + 1)]
    expected, _ = resized_then_cropped(image, 300, 176, 76, 224)
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_area_and_aspect_ratio():
    """8 to 100 % of the area, an aspect ratio of 3/4 to 4/3, turned half of the time; the Torch code."""
    image = pictures.picture(5, 500, 375)
    chosen = Chosen(0.3, 1.2, 0.4, 100, 50)
    found = decode(png(image), Random(224, "area_aspect"), chosen)
    area = 0.3 * 500 * 375
    height, width = round((area * 1.2) ** 0.5), round((area / 1.2) ** 0.5)  # turned
    assert chosen.ranges == [(0.08, 1.0), (3 / 4, 4 / 3), (0, 500 - width + 1), (0, 375 - height + 1)]
    expected = image.crop((100, 50, 100 + width, 50 + height)).resize((224, 224), BILINEAR)
    # Of a crop the pixels at its edge do not see beyond it.
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_an_area_that_never_fits_leaves_the_middle():
    class Long:
        def uniform(self, low, high):
            return high

        def random(self):
            return 1.0

    image = pictures.picture(6, 500, 100)
    found = decode(png(image), Random(96, "area_aspect"), Long())
    np.testing.assert_array_equal(found, decode(png(image), Middle(96, 96)))


def test_random_crops_are_uniform_and_stay_inside():
    boxes = [Random(224, "area_aspect").box(500, 375, np.random.default_rng(i)) for i in range(4000)]
    share = np.array([(right - left) * (bottom - top) for left, top, right, bottom in boxes]) / (500 * 375)
    aspect = np.array([(right - left) / (bottom - top) for left, top, right, bottom in boxes])
    assert 0.078 < share.min() < 0.1 and share.max() > 0.9
    assert 0.74 < aspect.min() < 0.76 and 1.32 < aspect.max() < 1.35
    for scale in ("area_aspect", "shorter_side"):
        for i in range(300):
            left, top, right, bottom = Random(32, scale).box(50, 37, np.random.default_rng(i))
            assert -1e-9 <= left < right <= 50 + 1e-9 and -1e-9 <= top < bottom <= 37 + 1e-9


def test_a_large_jpeg_is_decoded_smaller_and_hardly_looks_different(monkeypatch):
    file, sizes = io.BytesIO(), []
    pictures.picture(7, 2000, 1500).save(file, "JPEG", quality=95)
    fast = decode(file.getvalue(), Middle(64, 73))
    with Image.open(io.BytesIO(file.getvalue())) as image:
        image.load()
        slow = decode(png(image), Middle(64, 73))
    assert np.abs(fast.astype(int) - slow).mean() < 1 and np.abs(fast.astype(int) - slow).max() < 8
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, *a: sizes.append(self.size) or resize(self, *a))
    decode(file.getvalue(), Middle(64, 73))
    decode(file.getvalue(), Middle(1024, 1024))
    assert sizes == [(250, 188), (2000, 1500)]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1"])
def test_other_colours_become_rgb(mode):
    image = pictures.picture(8).convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF")
    expected = decode(png(image.convert("RGB")), Middle(8, 8)).astype(int)
    found = decode(file.getvalue(), Middle(8, 8))
    assert found.shape == (8, 8, 3) and np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("content", [b"", b"no picture", pictures.jpeg(0)[:400], png(pictures.picture(0))[:300]])
def test_a_file_that_is_broken_says_so(content):
    with pytest.raises(Broken, match="."):
        decode(content, Middle(8, 8))


def test_scales_shrink_with_the_crop():
    assert [round(of * 32) for of in crops.SHORTER_SIDE] == [37, 69]
    chosen = Chosen(37, 0, 0)
    Random(32, "none").box(100, 100, chosen)
    assert chosen.ranges[0] == (37, 38)
