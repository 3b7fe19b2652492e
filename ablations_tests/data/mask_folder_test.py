"""A folder of images and masks, and every way in which it can be wrong: one message each."""

import numpy as np
import pytest
from PIL import Image

from ablations.data import catalogue
from ablations.data.config import MaskFolderConfig
from ablations.errors import UserError
from ablations_tests.pictures import picture, png


@pytest.fixture
def root(tmp_path):
    """Three images to train and one to validate; the foreground is their left half, in values 0 and 255."""
    for split, count in (("train", 3), ("val", 1)):
        for part in ("images", "masks"):
            (tmp_path / split / part).mkdir(parents=True)
        for i in range(count):
            picture(i, 64, 32).save(tmp_path / split / "images" / f"scan{i}.jpg")
            Image.fromarray(half(255)).save(tmp_path / split / "masks" / f"scan{i}.png")
    return tmp_path


def half(value):
    mask = np.zeros((32, 64), np.uint8)
    mask[:, :32] = value
    return mask


def config(root, **settings):
    return MaskFolderConfig("mask_folder", root=str(root), **({"crop": 16} | settings))


def test_images_and_masks_become_squares_of_the_same_part(root):
    dataset = catalogue.load(config(root))
    assert dataset.train_images.shape == (3, 16, 16, 3) and dataset.test_labels.shape == (1, 16, 16)
    expected = np.zeros((16, 16), np.uint8)
    expected[:, :8] = 1
    for mask in (*dataset.train_labels, *dataset.test_labels):
        np.testing.assert_array_equal(mask, expected)
    kind = catalogue.kind(config(root))
    assert (kind.image, kind.classes, kind.train, kind.test) == ((16, 16, 3), 2, 3, 1)
    assert list(catalogue.check(config(root))) == [""] * 4 and catalogue.prepare(config(root)) == root


def test_values_say_which_class_and_one_may_be_ignored(root):
    mask = half(7)
    mask[:16, 32:] = 9
    for path in root.glob("*/masks/*"):
        Image.fromarray(mask).save(path)
    labels = catalogue.load(config(root, values=[9, 7], ignored=0)).train_labels
    assert (labels[:, :, :8] == 1).all() and (labels[:, :8, 8:] == 0).all() and (labels[:, 8:, 8:] == 255).all()


@pytest.mark.parametrize("mode", ["1", "P", "RGB"])
def test_masks_that_other_programs_save_otherwise(root, mode):
    for path in root.glob("*/masks/*"):
        Image.fromarray(half(255)).convert(mode).save(path)
    assert catalogue.load(config(root, values=[0, 255])).train_labels.sum() == 3 * 128


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_masks_of_more_bits_have_their_values(root, dtype):
    for path in root.glob("*/masks/*.png"):
        Image.fromarray(half(7).astype(dtype)).save(path.with_suffix(".tif"))
        path.unlink()
    assert catalogue.load(config(root, values=[0, 7])).train_labels.sum() == 3 * 128


def test_an_image_is_turned_as_its_exif_data_say_and_a_mask_is_its_own(root):
    """A camera that was held upside down: people draw masks on what they see, which is upright."""
    exif = Image.Exif()
    exif[0x0112] = 3
    before = catalogue.load(config(root))
    for path in root.glob("*/images/*"):
        with Image.open(path) as image:
            image.rotate(180).save(path, exif=exif, quality=100)
    after = catalogue.load(config(root))
    assert np.abs(after.train_images.astype(int) - before.train_images).mean() < 2
    np.testing.assert_array_equal(after.train_labels, before.train_labels)
    for path in root.glob("*/masks/*"):
        with Image.open(path) as mask:
            mask.rotate(180).save(path, exif=exif)
    np.testing.assert_array_equal(catalogue.load(config(root)).train_labels, before.train_labels)


def test_pairs_lie_in_sub_folders_of_the_same_name(root):
    for part in ("images", "masks"):
        (root / "train" / part / "day1").mkdir()
        for path in (root / "train" / part).glob("scan0.*"):
            path.rename(path.parent / "day1" / path.name)
    assert catalogue.kind(config(root)).train == 3 and len(catalogue.load(config(root)).train_images) == 3


def on_its_side(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, 64, 32).save(root / "train" / "images" / "scan1.jpg", exif=exif)


def of_16_bit_colours(root):
    """Which Pillow decodes to 8 bits, so that class 1 would become 0."""
    rows = b"".join(b"\0" + row.astype(">u2").repeat(3).tobytes() for row in half(1))
    (root / "train" / "masks" / "scan1.png").write_bytes(png(64, 32, 16, 2, rows))


def of_halves(root):
    mask = root / "train" / "masks" / "scan1.png"
    Image.fromarray((half(1) / 2).astype(np.float32)).save(mask.with_suffix(".tif"))
    mask.unlink()


def saved(array):
    return lambda root: Image.fromarray(array).save(root / "train" / "masks" / "scan1.png")


BLURRED = np.zeros((32, 64), np.uint8)
BLURRED[0, :10] = range(10)
FAULTS = [
    (lambda root: (root / "train" / "masks" / "scan1.png").unlink(), r"train/masks: has nothing for scan1.jpg; an image and"),
    (lambda root: (root / "val" / "images" / "scan0.jpg").unlink(), r"val/images: has nothing for scan0.png; an image and"),
    (lambda root: [path.unlink() for path in root.glob("val/*/*")], r"val/images: has no images"),
    (lambda root: (root / "val").rename(root / "test"), r"data.root=.*/val/images: No such file.*must hold train/ and val/"),
    (lambda root: picture(0, 64, 32).save(root / "train" / "images" / "scan1.png"), "scan1.png and scan1.jpg have the same name"),
    (saved(half(255)[:20]), r"scan1.jpg with masks/scan1.png: the image has 64x32 pixels and its mask 64x20"),
    (saved(half(3)), r"scan1.png: the mask has the values 3, which are of no class; data.values lists .* \[0, 255\]"),
    (of_16_bit_colours, "the mask is in colours of 16 bits, of which 8 would be lost; save it in grey"),
    (of_halves, "the mask has the values 0.5, which are of no class"),
    (on_its_side, "the image has 32x64 pixels, turned as its EXIF data say, and its mask 64x32; they must be equal"),
    (saved(BLURRED), r"the mask has the values 1, 2, 3, 4, 5 and 4 more, which are of no class"),
    (saved(np.arange(32 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 64, 3)), "the mask is in colours"),
    (lambda root: (root / "train" / "masks" / "scan1.png").write_bytes(b"no"), "the mask cannot be decoded: it is no picture"),
    (lambda root: (root / "train" / "images" / "scan1.jpg").write_bytes(b"no"), "the image cannot be decoded: it is no picture"),
]  # fmt: skip


@pytest.mark.parametrize("damage,message", FAULTS)
def test_what_is_wrong_is_said_in_one_message(root, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message):
        catalogue.load(config(root))


def test_all_that_cannot_be_used_are_listed(root):
    (root / "train" / "images" / "scan0.jpg").write_bytes(b"")
    saved(half(3))(root)
    first, second, *well = catalogue.check(config(root))
    assert "scan0.jpg" in first and "the file is empty" in first and "the values 3" in second and well == [""] * 2


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"values": [0]}, r"data.values=\[0\], data.ignored=None: give two or more"),
        ({"values": [0, 255], "ignored": 255}, "data.ignored=255: give two or more different values"),
        ({"crop": None}, "data.crop=None: must be at least 1"),
        ({"root": None}, "data.root: say which folder"),
        ({"scale": "shorter_side"}, "data.scale=shorter_side: only for image files, as in data=imagenet; mask_folder has crop"),
    ],
)  # fmt: skip
def test_settings_are_checked(root, settings, message):
    with pytest.raises(ValueError, match=message):
        config(**({"root": root} | settings)) if settings.get("root", "") is not None else MaskFolderConfig(
            "mask_folder", crop=8
        )
