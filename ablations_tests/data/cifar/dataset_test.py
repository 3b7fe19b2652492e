"""Reading what is prepared, from its decoded copy and without it."""

import shutil

import numpy as np
import pytest

from ablations.data import catalogue, tfds
from ablations.data.cifar import records as prepared
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations_tests import official


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A place with the small CIFAR-10."""
    root = tmp_path_factory.mktemp("original")
    official.write("cifar10", "binary", root)
    catalogue.prepare(DataConfig("cifar10", archive_dir=str(root), data_dir=str(root / "tfds"), verify=False))
    return root / "tfds"


@pytest.fixture
def config(original, tmp_path):
    shutil.copytree(original, tmp_path / "tfds")
    return DataConfig("cifar10", data_dir=str(tmp_path / "tfds"), verify=False)


def check(dataset):
    for split, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        records = np.concatenate(official.records("cifar10", split))
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        assert (images.transpose(0, 3, 1, 2).reshape(-1, 3072) == records[:, 1:]).all()
        assert (labels == records[:, 0]).all()


def test_the_decoded_copy_is_read_and_nothing_is_decoded(config, monkeypatch):
    monkeypatch.setattr(prepared, "decode", None)
    check(catalogue.load(config))


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: copy.unlink(),
        lambda copy: copy.write_bytes(b""),
        lambda copy: copy.write_bytes(copy.read_bytes()[:-100]),
        lambda copy: copy.write_bytes(copy.read_bytes()[:2000] + b"\0\0\0\0" + copy.read_bytes()[2004:]),
        lambda copy: np.savez(copy, source="of something else", difference=""),
        lambda copy: np.savez(copy, something=1),
    ],
)
def test_a_copy_that_is_damaged_or_of_other_files_is_made_anew(config, damage, monkeypatch):
    copy = tfds.find(config) / prepared.CACHE
    damage(copy)
    check(catalogue.load(config))
    monkeypatch.setattr(prepared, "decode", None)
    check(catalogue.load(config))


def test_other_array_record_files_are_never_read_from_the_copy_of_these(config, tmp_path):
    files = official.contents("cifar10", "binary")
    files["test_batch.bin"] = files["data_batch_1.bin"]
    official.write("cifar10", "binary", tmp_path, files)
    other = DataConfig("cifar10", data_dir=str(tmp_path / "other"), archive_dir=str(tmp_path), verify=False)
    catalogue.prepare(other)
    place, copy = tfds.find(config), (tfds.find(config) / prepared.CACHE).read_bytes()
    shutil.copytree(tfds.find(other), place, dirs_exist_ok=True)
    (place / prepared.CACHE).write_bytes(copy)
    assert len(catalogue.load(config).test_images) == 20


def test_a_damaged_shard_is_named(config):
    place = tfds.find(config)
    (shard,) = place.glob("*-test.array_record*")
    shard.write_bytes(b"\0" * 70_000)
    with pytest.raises(UserError, match=rf"{place}: the test split cannot be read: .*Remove this folder and prepare"):
        catalogue.load(config)


def test_what_is_not_published_is_refused_from_the_copy_too(config):
    config.verify = True
    for _ in range(2):
        with pytest.raises(UserError, match=r"3.0.2: expected 50,000 images in train, found 100: this is not the publ"):
            catalogue.load(config)
        (tfds.find(config) / prepared.CACHE).unlink(missing_ok=True)


def test_what_is_published_passes(config, monkeypatch):
    official.publish(monkeypatch, "cifar10")
    (tfds.find(config) / prepared.CACHE).unlink()
    config.verify = True
    check(catalogue.load(config))
    check(catalogue.load(config))


def test_the_place_is_that_of_tensorflow_datasets(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert str(tfds.data_dir(DataConfig("cifar10"))) == "/home/me/tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", "/scratch/tfds")
    assert str(tfds.data_dir(DataConfig("cifar10"))) == "/scratch/tfds"
    assert str(tfds.data_dir(DataConfig("cifar10", data_dir="~/mine"))) == "/home/me/mine"


def test_a_format_that_takes_tensorflow_is_named(tmp_path):
    place = tmp_path / "cifar10" / "3.0.2"
    place.mkdir(parents=True)
    (place / "dataset_info.json").write_text('{"fileFormat": "tfrecord"}')
    with pytest.raises(
        UserError, match=r"3.0.2: expected cifar10 as array_record, found tfrecord; choose another folder"
    ):
        tfds.find(DataConfig("cifar10", data_dir=str(tmp_path)))


def test_the_newest_version_is_read(tmp_path):
    for version in ("3.0.2", "3.0.10", "incomplete.3.0.99"):
        (tmp_path / "cifar10" / version).mkdir(parents=True)
        (tmp_path / "cifar10" / version / "dataset_info.json").write_text('{"fileFormat": "array_record"}')
    assert tfds.find(DataConfig("cifar10", data_dir=str(tmp_path))).name == "3.0.10"
