"""Oxford-IIIT Pet from small archives with the official layout, written and read by TensorFlow Datasets' format."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from ablations.data import catalogue, tfds
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations_tests.pictures import jpeg, picture

NAMES = {"trainval.txt": ["beagle_2", "Abyssinian_5"], "test.txt": ["Bombay_1"]}
XML = "<a><size><width>64</width><height>32</height></size><object><bndbox><xmin>1</xmin><ymin>2</ymin>"
XML += "<xmax>9</xmax><ymax>8</ymax></bndbox></object></a>"


def png(array):
    file = io.BytesIO()
    (Image.fromarray(array) if isinstance(array, np.ndarray) else array).save(file, "PNG")
    return file.getvalue()


def trimap():
    """Pet to the left, border in the middle, background to the right."""
    mask = np.full((32, 64), 2, np.uint8)
    mask[:, :28], mask[:, 28:36] = 1, 3
    return mask


def pack(path, files):
    with tarfile.open(path, "w") as archive:  # the official ones are not compressed, whatever their names say
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("pets")
    names = [name for listed in NAMES.values() for name in listed]
    images = {f"images/{name}.jpg": jpeg(i, 64, 32) for i, name in enumerate(names)}
    images["images/Abyssinian_5.jpg"] = png(picture(1, 64, 32))  # one of those that are no JPEG
    pack(root / "images.tar.gz", images)
    files = {f"annotations/{name}": "\n".join(f"{pet} 1 1 1" for pet in pets).encode() for name, pets in NAMES.items()}
    files |= {f"annotations/trimaps/{name}.png": png(trimap()) for name in names}
    pack(root / "annotations.tar.gz", files | {"annotations/xmls/beagle_2.xml": XML.encode()})
    made = {"archive_dir": str(root), "data_dir": str(root / "tfds"), "verify": False}
    catalogue.prepare(DataConfig("oxford_pet", crop=16, **made))
    return DataConfig("oxford_pet", crop=16, **made)


def test_images_and_trimaps_are_squares_in_the_order_of_their_names(config):
    dataset = catalogue.load(config)
    assert dataset.train_images.shape == (2, 16, 16, 3) and dataset.test_labels.shape == (1, 16, 16)
    for mask in (*dataset.train_labels, *dataset.test_labels):
        assert [list(map(int, row)) for row in mask] == [[1] * 6 + [2] * 4 + [0] * 6] * 16
    # Abyssinian_5 comes before beagle_2.
    expected = [np.asarray(picture(seed, 64, 32).crop((16, 0, 48, 32)).resize((16, 16))) for seed in (1, 0)]
    assert np.abs(dataset.train_images.astype(int) - np.stack(expected)).mean() < 12


def test_tensorflow_datasets_finds_it_under_its_own_name(config):
    import tensorflow_datasets

    folder = tfds.find(config, "oxford_iiit_pet")
    assert tensorflow_datasets.builder_from_directory(folder).info.splits["train"].num_examples == 2


def test_what_is_not_published_is_refused(config):
    unverified = DataConfig("oxford_pet", crop=16, data_dir=config.data_dir)
    with pytest.raises(UserError, match="expected 3,680 images to train and 3,669 to test, found 2 and 1: this is not"):
        catalogue.load(unverified)


def test_what_is_missing_is_said_with_what_to_type(tmp_path):
    place = {"crop": 16, "data_dir": str(tmp_path / "tfds")}
    with pytest.raises(
        UserError, match="is not prepared in .*/tfds. With a network: ablations data prepare data=oxford_pet"
    ):
        catalogue.load(DataConfig("oxford_pet", **place))
    with pytest.raises(UserError, match=r"has no images.tar.gz and no annotations.tar.gz; fetch https://thor"):
        catalogue.prepare(DataConfig("oxford_pet", archive_dir=str(tmp_path), **place))
    for name in ("images.tar.gz", "annotations.tar.gz"):
        (tmp_path / name).write_bytes(b"no archive")
    for verify, said in (
        (True, "images.tar.gz: not the published archive"),
        (False, "an archive is damaged .*; fetch it again"),
    ):
        with pytest.raises(UserError, match=said):
            catalogue.prepare(DataConfig("oxford_pet", archive_dir=str(tmp_path), verify=verify, **place))
