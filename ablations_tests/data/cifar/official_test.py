"""Reading the official files of CIFAR: whole ones, and every way in which one is not."""

import gzip
import os
import pickle

import numpy as np
import pytest

from ablations.data.cifar import official as cifar
from ablations.data.cifar import pickled
from ablations.data.cifar.published import CIFARS, CLASS_NAMES
from ablations.errors import UserError
from ablations_tests import official

NAMES = ("cifar10", "cifar100")


def read(name, path, verify=False):
    return cifar.read(name, cifar.find(name, path), verify=verify)


def check(name, splits):
    """Pixel by pixel from the definition of a record."""
    for split in ("train", "test"):
        records = np.concatenate(official.records(name, split))
        n = len(CIFARS[name].classes)
        for i, label in enumerate(CIFARS[name].classes):
            assert (splits[split].labels[label] == records[:, i]).all()
        images = splits[split].images
        assert images.shape == (len(records), 32, 32, 3) and images.dtype == np.uint8
        for row, column, channel in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (31, 30, 2)):
            expected = records[:, n + 1024 * channel + 32 * row + column]
            assert (images[:, row, column, channel] == expected).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", official.FORMS)
def test_every_official_form_is_read_from_its_place_and_from_the_folder_around_it(name, form, tmp_path):
    path = official.write(name, form, tmp_path)
    for place in (tmp_path, path):
        splits, note = read(name, place)
        check(name, splits)
        assert note == "checksums were not compared (data.verify=false)"


def test_the_published_facts_fit_together():
    for name, known in CIFARS.items():
        assert known.images("train") == 50_000 and known.images("test") == 10_000
        for file, checksum in known.checksums.items():
            assert len(checksum) == (64 if file.endswith(".bin") else 32) and int(checksum, 16)
        for label, classes in known.classes.items():
            names = CLASS_NAMES[name, label].split()
            assert len(names) == len(set(names)) == classes and names == sorted(names)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", official.FORMS)
def test_what_is_published_passes_and_one_changed_byte_does_not(name, form, tmp_path, monkeypatch):
    path = official.write(name, form, tmp_path)
    official.publish(monkeypatch, name, path if form == "archive" else None)
    splits, note = read(name, tmp_path, verify=True)
    check(name, splits)
    assert "published" in note and cifar.difference(name, splits) == ""
    if (name, form) == ("cifar100", "binary"):  # no checksum of a single file is published
        return
    files = official.contents(name, form)
    first, content = next(iter(files.items()))
    changed = content.replace(b"a batch", b"a botch") if form == "python" else content[:-1] + b"\0"
    assert changed != content
    official.write(name, form, tmp_path / "changed", files | {first: changed})
    with pytest.raises(
        UserError, match=r"expected (SHA-256|MD5) [0-9a-f]+ \(as published\), found [0-9a-f]+; data.ver"
    ):
        read(name, tmp_path / "changed", verify=True)
    read(name, tmp_path / "changed", verify=False)


def test_without_published_checksums_the_images_of_each_class_are_counted(tmp_path, monkeypatch):
    official.publish(monkeypatch, "cifar100")
    files = official.contents("cifar100", "binary")
    first, content = next(iter(files.items()))
    other = bytes([content[0], (content[1] + 1) % 100]) + content[2:]
    official.write("cifar100", "binary", tmp_path, files | {first: other})
    with pytest.raises(UserError, match=r"expected \d+ images of each class in train, found .*; data.verify=false"):
        read("cifar100", tmp_path, verify=True)


def test_an_archive_packed_anew_passes_where_the_checksums_of_its_files_are_published(tmp_path, monkeypatch):
    for name in NAMES:
        official.publish(monkeypatch, name)
        official.write(name, "archive", tmp_path / name)
    assert "was repacked" in read("cifar10", tmp_path / "cifar10", verify=True)[1]
    with pytest.raises(UserError, match=r"tar.gz: expected SHA-256 58a81ae1.* \(as published\), found"):
        read("cifar100", tmp_path / "cifar100", verify=True)


@pytest.mark.parametrize("form", official.FORMS)
def test_too_few_images_are_refused_unless_told_otherwise(form, tmp_path):
    official.write("cifar10", form, tmp_path)
    with pytest.raises(UserError, match=r"data_batch_1.*expected 10,000 images, found 20; data.verify=false"):
        read("cifar10", tmp_path, verify=True)


def damaged_files():
    ten, hundred = official.contents("cifar10", "binary"), official.contents("cifar100", "binary")
    big = bytearray(ten["data_batch_2.bin"])
    big[3073 * 7] = 10
    coarse, fine = bytearray(hundred["train.bin"]), bytearray(hundred["train.bin"])
    coarse[0], fine[3074 + 1] = 20, 100
    swapped = {"data_batch_1.bin": hundred["train.bin"]}
    few = {k: v for k, v in ten.items() if k != "data_batch_3.bin"}
    return {
        "cut": ("cifar10", ten | {"test_batch.bin": ten["test_batch.bin"][:-1]},
                r"test_batch.bin: expected records of 3,073 bytes \(1 of labels, 3,072 of pixels\), found 92,189 bytes, whi"),
        "label": ("cifar10", ten | {"data_batch_2.bin": bytes(big)},
                  r"data_batch_2.bin: expected a label in 0 ... 9, found 10 at image 7$"),
        "coarse": ("cifar100", hundred | {"train.bin": bytes(coarse)}, r"a coarse label in 0 ... 19, found 20 at image 0"),
        "fine": ("cifar100", hundred | {"train.bin": bytes(fine)}, r"expected a label in 0 ... 99, found 100 at image 1"),
        "swapped": ("cifar10", ten | swapped, r"records of 3,074 bytes are CIFAR-100's: data=cifar100 reads them"),
        "missing": ("cifar10", few, r"expected (cifar-10-batches-bin/)?data_batch_3.bin, found .*data_batch_1.bin, .*data"),
        "other": ("cifar10", hundred, r"expected .*data_batch_1.bin, .*, found .*train.bin.*: this is CIFAR-100; data=c"),
        "other 100": ("cifar100", ten, r"expected .*train.bin, .*test.bin, found .*: this is CIFAR-10; data=cifar10 reads"),
        "empty": ("cifar10", dict.fromkeys(ten, b""), r"expected images in train, found none"),
    }  # fmt: skip


@pytest.mark.parametrize("form", ("archive", "binary"))
@pytest.mark.parametrize("case", damaged_files())
def test_damaged_files_are_named(case, form, tmp_path):
    name, files, message = damaged_files()[case]
    path = official.write(name, form, tmp_path, files)
    with pytest.raises(UserError, match=message) as error:
        cifar.read(name, path, verify=False)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda whole: whole[:5000], r"expected a whole archive \(170,052,171 bytes as published\), found 5,000 bytes: it is cut"),
        (lambda whole: whole[:-4], r"found [0-9,]+ bytes: it is cut short"),
        (lambda whole: b"", r"found 0 bytes: it is damaged"),
        (lambda whole: b"<html>" * 9, r"found 54 bytes: it is damaged: Not a gzipped file"),
        (lambda whole: gzip.compress(b"text" * 999), r"damaged"),
        (lambda whole: whole[:9000] + b"\xff" * 99 + whole[9099:], r"damaged"),
        (lambda whole: whole[:-8] + b"\0\0\0\0" + whole[-4:], r"damaged: CRC check failed"),
    ],
)  # fmt: skip
def test_damaged_archives_are_named(damage, message, tmp_path):
    path = official.write("cifar10", "archive", tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        cifar.read("cifar10", path, verify=False)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_the_archive_of_the_other_data_set_is_named_whatever_its_name(tmp_path):
    path = official.write("cifar100", "archive", tmp_path).rename(tmp_path / "cifar-10-binary.tar.gz")
    for verify in (True, False):
        with pytest.raises(
            UserError, match=r"expected cifar-10-batches-bin/data_batch_1.bin.*: this is CIFAR-100; dat"
        ):
            cifar.read("cifar10", path, verify=verify)


def test_a_folder_without_an_archive_says_what_is_there(tmp_path):
    with pytest.raises(UserError, match=r"expected cifar-10-binary.tar.gz, .*, found an empty folder"):
        cifar.find("cifar10", tmp_path)
    with pytest.raises(
        UserError, match=r"nowhere: expected a folder with cifar-10-binary.tar.gz, but it does not exist"
    ):
        cifar.find("cifar10", tmp_path / "nowhere")
    official.write("cifar100", "archive", tmp_path)
    for place in (tmp_path, tmp_path / "cifar-100-binary.tar.gz"):
        with pytest.raises(
            UserError, match=r"found cifar-100-binary.tar.gz, which is CIFAR-100: data=cifar100 reads it"
        ):
            cifar.find("cifar10", place)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for batch in (Evil(), {"data": Evil()}):
        with pytest.raises(UserError, match=r"file: expected a pickle of arrays only, found a call of posix.mkdir"):
            pickled.read("file", pickle.dumps(batch, 2), ("labels",))
    assert not (tmp_path / "evil").exists()


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    "batch, message",
    [
        ([1], r"expected a pickled dict, found list"),
        ({"data": PIXELS, "fine_labels": [1, 2]}, r"expected the keys data, labels, found .*; this is CIFAR-100"),
        ({"labels": [1, 2]}, r"expected the keys data, labels, found labels$"),
        ({"data": PIXELS[:, 1:], "labels": [1, 2]}, r"expected pixels uint8 \(N, 3072\), found uint8 \(2, 3071\)"),
        ({"data": PIXELS.astype(int), "labels": [1, 2]}, r"expected pixels .*, found int64 \(2, 3072\)"),
        ({"data": "text", "labels": [1, 2]}, r"expected pixels uint8 \(N, 3072\), found bytes"),
        ({"data": PIXELS, "labels": [1]}, r"expected 2 labels, found 1"),
        ({"data": PIXELS, "labels": [1, 2.5]}, r"expected labels to be a list of small integers"),
        ({"data": PIXELS, "labels": [1, 1 << 70]}, r"expected labels to be a list of small integers"),
    ],
)
def test_pickles_of_something_else_are_named(batch, message):
    with pytest.raises(UserError, match="^file: " + message):
        pickled.read("file", official.python2_pickle(batch), ("labels",))


def test_pickled_labels_out_of_range_are_named(tmp_path):
    files = official.contents("cifar10", "python")
    for label in (-1, 10, 266):
        files["test_batch"] = official.python2_pickle({"data": PIXELS, "labels": [0, label]})
        path = official.write("cifar10", "python", tmp_path / str(label), files)
        with pytest.raises(UserError, match=rf"test_batch: expected a label in 0 ... 9, found {label} at image 1"):
            cifar.read("cifar10", path, verify=False)


@pytest.mark.parametrize("length", (0, 1, 10, 1000, -1))
def test_a_pickle_cut_short_is_named(length):
    whole = official.contents("cifar10", "python")["test_batch"]
    with pytest.raises(UserError, match=r"file: expected a whole pickle, found [0-9,]+ bytes that are none"):
        pickled.read("file", whole[:length], ("labels",))


def test_python_3_pickles_are_read_too():
    content = pickle.dumps({"data": PIXELS, "labels": [3, 4]})
    assert pickled.read("file", content, ("labels",))[0].tolist() == [[3], [4]]


def test_differences_from_the_published_data_are_found(tmp_path, monkeypatch):
    official.publish(monkeypatch, "cifar10")
    official.publish(monkeypatch, "cifar100")
    ten, _ = read("cifar10", official.write("cifar10", "binary", tmp_path))
    assert cifar.difference("cifar10", ten) == ""
    train = ten["train"]
    order = np.r_[10, 1:10, 0, 11 : len(train.images)]  # two images of one class
    moved = cifar.Split(train.images[order], train.labels)
    assert "with SHA-256" in cifar.difference("cifar10", ten | {"train": moved})
    fewer = cifar.Split(train.images[:50], {"label": train.labels["label"][:50]})
    assert cifar.difference("cifar10", ten | {"train": fewer}) == "expected 100 images in train, found 50"
    hundred, _ = read("cifar100", official.write("cifar100", "binary", tmp_path))
    hundred["test"].labels["label"][0] = 1
    expected = "expected 1 images of each class in test, found 0 of class 0"
    assert cifar.difference("cifar100", hundred) == expected
