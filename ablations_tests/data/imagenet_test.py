"""ImageNet from small archives in the official layout: what is prepared, what is refused, and training on it."""

import io
import os
import resource
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablations.data import catalogue, imagenet
from ablations.data import tfds as prepared
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.runs.record import read_record
from ablations.system import files as system_files
from ablations.training.loop import train
from ablations_tests import pictures
from ablations_tests.conftest import ONE_UNIT, configure


def config(root, **settings):
    settings = {"archive_dir": str(root / "archives"), "verify": False, "workers": 0} | settings
    return DataConfig("imagenet", crop=16, test_crops=[16], data_dir=str(root / "tfds"), **settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with archives/ and, prepared from them, tfds/."""
    root = tmp_path_factory.mktemp("imagenet")
    pictures.archives(root / "archives")
    catalogue.prepare(config(root))
    return root


def test_stock_tensorflow_datasets_reads_what_was_prepared(made):
    import tensorflow_datasets as tfds

    assert sorted(path.name for path in (made / "tfds").iterdir()) == ["imagenet2012"]
    raw = {"image": tfds.decode.SkipDecoding()}
    source = tfds.data_source("imagenet2012", split="train", data_dir=made / "tfds", decoders=raw)
    found = {example["file_name"].decode(): (example["image"], example["label"]) for example in source}
    expected = pictures.of("train", 7, 6)
    names = source.dataset_info.features["label"].names
    assert len(names) == 1000 and len(found) == 42
    assert found == {
        file: (content, names.index(name)) for name, files in expected.items() for file, content in files.items()
    }
    assert "tensorflow" not in sys.modules


def test_no_image_is_turned(made):
    """Published errors are of images as they are stored, whatever their EXIF data say."""
    dataset = catalogue.load(config(made))
    assert not dataset.train_images.upright and not dataset.test_images[[0]].upright


def test_validation_images_have_the_published_labels(made):
    """ILSVRC2012_val_00000001 ... 5 are a sea snake, an alp, a Shetland sheepdog, a soup bowl and a cradle."""
    import tensorflow_datasets as tfds

    raw = {"image": tfds.decode.SkipDecoding()}
    source = tfds.data_source("imagenet2012", split="validation", data_dir=made / "tfds", decoders=raw)
    label = source.dataset_info.features["label"]
    found = {example["file_name"].decode()[-13:-5]: label.int2str(example["label"]) for example in source}
    assert len(found) == 9
    assert [found[f"{i:08}"] for i in range(1, 6)] == ["n01751748", "n09193705", "n02105855", "n04263257", "n03125729"]


def test_images_and_labels_belong_together(made):
    dataset = catalogue.load(config(made))
    assert (len(dataset.train_images), len(dataset.test_images), dataset.classes) == (42, 9, 1000)
    expected = {content: name for name, files in pictures.of("train", 7, 6).items() for content in files.values()}
    for number, label in enumerate(dataset.train_labels):
        name = expected[dataset.train_images.source.read(number)]
        assert pictures.CLASSES.index(name) == label  # the first seven of the 1,000 classes
        assert dataset.train_images.name(number).endswith(".JPEG") and name in dataset.train_images.name(number)
    place = prepared.find(config(made), "imagenet2012")
    kept = (place / imagenet.LABELS).read_bytes()
    (place / imagenet.LABELS).write_bytes(kept[:50])
    assert (catalogue.load(config(made)).train_labels == dataset.train_labels).all()


def test_the_manual_folder_of_tensorflow_datasets_is_where_archives_are_looked_for(made, tmp_path):
    shutil.copytree(made / "archives", tmp_path / "tfds" / "downloads" / "manual")
    (tmp_path / "tfds" / "downloads" / "manual" / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(UserError) as error:
        catalogue.prepare(config(tmp_path, archive_dir=None))
    folder = tmp_path / "tfds" / "downloads" / "manual"
    assert f"{folder} has no ILSVRC2012_img_val.tar. Fetch ILSVRC2012_img_val.tar from https://image-net.org" in str(
        error.value
    )
    shutil.copy(made / "archives" / "ILSVRC2012_img_val.tar", folder)
    with pytest.raises(
        UserError, match=r"img_train.tar: expected 147,897,477,120 bytes, found [0-9,]+: it is cut short"
    ):
        catalogue.prepare(config(tmp_path, archive_dir=None, verify=True))
    assert not (tmp_path / "tfds" / "imagenet2012").exists()


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(made, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"preparing data=imagenet takes .* of disk, 1 kB are free; make room"):
        catalogue.prepare(config(tmp_path, archive_dir=str(made / "archives")))
    assert not (tmp_path / "tfds").exists()


@pytest.mark.parametrize("archive", imagenet.SPLITS.values())
def test_a_damaged_archive_leaves_nothing(archive, made, tmp_path):
    shutil.copytree(made / "archives", tmp_path / "archives")
    content = (tmp_path / "archives" / archive).read_bytes()
    (tmp_path / "archives" / archive).write_bytes(content[: len(content) // 3])
    with pytest.raises(UserError, match="an archive is damaged or not the official one"):
        catalogue.prepare(config(tmp_path))
    assert list((tmp_path / "tfds").iterdir()) == []


def test_another_number_of_images_is_not_the_published_data_set(made):
    with pytest.raises(UserError, match=r"expected 1,281,167 images in train, found 42"):
        catalogue.load(config(made, verify=True))


def test_files_in_other_colours_become_rgb():
    file = io.BytesIO()
    pictures.picture(1).convert("CMYK").save(file, "JPEG")
    with Image.open(io.BytesIO(imagenet._as_rgb(file.getvalue()))) as image:
        assert (image.mode, image.format, image.size) == ("RGB", "JPEG", (40, 30))
        assert np.abs(np.asarray(image, int) - np.asarray(pictures.picture(1), int)).mean() < 4


def test_training_on_it(made, tmp_path):
    line = [
        "data=imagenet",
        f"data.data_dir={made}/tfds",
        "data.verify=false",
        "data.crop=16",
        "data.test_crops=[24,16]",
    ]
    line += ["data.workers=0", *ONE_UNIT, "recipe.batch_size=8", "recipe.total_steps=4"]
    train(configure(*line), tmp_path, quiet=True)
    record = read_record(tmp_path)
    assert (record["train_images"], record["test_images"], record["broken_images"]) == (42, 9, [])
    errors = {name for name in record if name.startswith("test_") and name != "test_images"}
    assert errors == {f"test_{top}error_percent{crop}" for top in ("", "top5_") for crop in ("", "_16")}


def test_what_does_not_fit_in_memory_is_sorted_on_disk(made, tmp_path, monkeypatch):
    """As the real archives, 140 times what TensorFlow Datasets keeps in memory: the same records, without TensorFlow."""
    from tensorflow_datasets.core import shuffle

    theirs = shuffle.tf
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1000)
    place = catalogue.prepare(config(tmp_path, archive_dir=str(made / "archives")))
    assert "tensorflow" not in sys.modules and shuffle.tf is theirs
    assert not list(place.glob("*.tmp"))
    ours, expected = (catalogue.load(config(root)) for root in (tmp_path, made))
    assert (ours.train_labels == expected.train_labels).all() and (ours.test_labels == expected.test_labels).all()
    for one, other in ((ours.train_images, expected.train_images), (ours.test_images, expected.test_images)):
        assert [one.source.read(i) for i in one.numbers] == [other.source.read(i) for i in other.numbers]


def test_a_reader_may_open_a_file_for_each_shard(made):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        imagenet._opened.cache_clear()
        catalogue.load(config(made)).train_images.source.read(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_files_are_looked_at_once_for_all_images(made, monkeypatch):
    source, looked, glob = catalogue.load(config(made)).train_images.source, [], Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: looked.append(path) or glob(path, pattern))
    imagenet._stamp.cache_clear()
    assert len({source.stamp(number) for number in range(42)}) == 42 and len(looked) == 1


def test_labels_of_records_in_a_place_that_cannot_be_written_to_are_kept_in_the_cache(made, tmp_path, monkeypatch):
    place, write = prepared.find(config(made), "imagenet2012"), system_files.write_whole
    (place / imagenet.LABELS).unlink()

    def refused(path, content):
        if path.parent == place:
            raise PermissionError(13, "Permission denied")
        write(path, content)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(imagenet, "write_whole", refused)
        expected = catalogue.load(config(made)).train_labels
    with monkeypatch.context() as patch:
        patch.setattr(imagenet, "_opened", lambda *_: pytest.fail("the records were read again"))
        assert (catalogue.load(config(made)).train_labels == expected).all()
    assert [path.parent.name for path in tmp_path.rglob("*.npz")] == ["labels"]


def test_some_of_the_validation_images_keep_their_labels(tmp_path):
    import tensorflow_datasets as tfds

    pictures.archives(tmp_path / "all")
    shutil.copytree(tmp_path / "all", tmp_path / "archives")
    with (
        tarfile.open(tmp_path / "all" / "ILSVRC2012_img_val.tar") as whole,
        tarfile.open(tmp_path / "archives" / "ILSVRC2012_img_val.tar", "w") as few,
    ):
        for number in (2, 4, 5):
            member = whole.getmember(f"ILSVRC2012_val_{number:08}.JPEG")
            few.addfile(member, whole.extractfile(member))
    catalogue.prepare(config(tmp_path))
    raw = {"image": tfds.decode.SkipDecoding()}
    source = tfds.data_source("imagenet2012", split="validation", data_dir=tmp_path / "tfds", decoders=raw)
    label = source.dataset_info.features["label"]
    found = {example["file_name"].decode()[-6:-5]: label.int2str(example["label"]) for example in source}
    assert found == {"2": "n09193705", "4": "n04263257", "5": "n03125729"}


def test_an_archive_that_may_not_be_read_says_so(made, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("val.tar"))  # root may read all
    with pytest.raises(UserError, match=r"ILSVRC2012_img_val.tar: cannot be read: Permission denied$"):
        catalogue.prepare(config(tmp_path, archive_dir=str(made / "archives")))
    assert not (tmp_path / "tfds").exists()
