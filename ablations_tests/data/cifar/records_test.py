"""Preparing: readable by everyone else, whole or not at all, one at a time."""

import functools
import http.server
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ablations import cli
from ablations.cli import completion
from ablations.data import catalogue
from ablations.data import tfds as prepared
from ablations.data.cifar import dataset
from ablations.data.cifar import records as prepare
from ablations.data.cifar.published import CIFARS, CLASS_NAMES
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.system import lock
from ablations_tests import official

# A preparation that says when it has begun to write, and then takes its time over each image.
SLOW = """
import signal, sys, time
from ablations.data import catalogue
from ablations.data.cifar import records
from ablations.data.config import DataConfig

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore them
signal.signal(signal.SIGHUP, signal.SIG_DFL)

quick = records.png

def slow(image):
    print("writing", file=sys.__stdout__, flush=True)
    time.sleep(0.02)
    return quick(image)

records.png = slow
catalogue.prepare(DataConfig("cifar10", archive_dir=sys.argv[1], data_dir=sys.argv[2], verify=False))
"""


def config(root, name="cifar10", **settings):
    settings = {"archive_dir": str(root), "verify": False} | settings
    return DataConfig(name, data_dir=str(root / "tfds"), **settings)


def start_slow(root):
    arguments = [sys.executable, "-c", SLOW, str(root), str(root / "tfds")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def left_in(root):
    return sorted(str(path.relative_to(root / "tfds")) for path in (root / "tfds").iterdir())


@pytest.mark.parametrize("name", ("cifar10", "cifar100"))
def test_stock_tensorflow_datasets_reads_what_was_prepared(name, tmp_path):
    import tensorflow_datasets as tfds

    official.write(name, "archive", tmp_path)
    place = catalogue.prepare(config(tmp_path, name))
    assert place == tmp_path / "tfds" / name / tfds.builder_cls(name).VERSION.__str__()
    assert left_in(tmp_path) == [name]
    labels = list(CIFARS[name].classes)
    for split in ("train", "test"):
        records = np.concatenate(official.records(name, split))
        source = tfds.data_source(name, split=split, data_dir=tmp_path / "tfds")
        assert len(source) == len(records)
        for i, example in enumerate(sorted(source, key=lambda example: example["id"])):
            assert example["id"] == f"{split}_{i:05}".encode()
            assert [example[label] for label in labels] == records[i, : len(labels)].tolist()
            assert (example["image"].transpose(2, 0, 1).ravel() == records[i, len(labels) :]).all()
    for label in labels:
        assert source.dataset_info.features[label].names == CLASS_NAMES[name, label].split()
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", ("cifar10", "cifar100"))
def test_load_prepares_by_itself_and_then_needs_no_archive(name, tmp_path, capsys):
    official.write(name, "python", tmp_path)
    dataset = catalogue.load(config(tmp_path, name))
    assert f"reading {tmp_path}/{CIFARS[name].python}, to be kept in {tmp_path}/tfds" in capsys.readouterr().err
    again = catalogue.load(config(tmp_path, name, archive_dir=None))
    assert capsys.readouterr().err == ""
    fine = np.concatenate(official.records(name, "train"))[:, len(CIFARS[name].classes) - 1]
    assert dataset.classes == CIFARS[name].classes["label"] and (dataset.train_labels == fine).all()
    assert (again.train_images == dataset.train_images).all()


def test_what_is_missing_says_what_to_type(tmp_path):
    with pytest.raises(UserError) as error:
        catalogue.load(config(tmp_path, archive_dir=None))
    place = f"{tmp_path}/tfds"
    assert str(error.value) == (
        f"data=cifar10 is not prepared in {place}. "
        f"With a network: ablations data prepare data=cifar10 data.data_dir={place}. "
        "Without one: fetch https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz elsewhere, then ablations data "
        f"prepare data=cifar10 data.data_dir={place} data.archive_dir=FOLDER, the folder that it is in"
    )
    assert not (tmp_path / "tfds").exists()


def test_a_bad_archive_leaves_nothing(tmp_path):
    path = official.write("cifar10", "archive", tmp_path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(UserError, match="cut short"):
        catalogue.prepare(config(tmp_path))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("kind", (OSError, RuntimeError))  # array_record's writer raises the second
def test_a_full_disk_is_named_and_nothing_left(kind, tmp_path, monkeypatch):
    official.write("cifar10", "binary", tmp_path)
    quick, images = prepare.png, iter(range(50))

    def failing(image):
        if next(images, None) is None:
            raise kind("No space left on device; writing something")
        return quick(image)

    monkeypatch.setattr(prepare, "png", failing)
    with pytest.raises(
        UserError, match=r"tfds: cannot be written to: .*No space left on device.*; choose another folder"
    ):
        catalogue.prepare(config(tmp_path))
    assert left_in(tmp_path) == []


def test_what_is_written_is_compared_with_what_was_read(tmp_path, monkeypatch):
    official.write("cifar10", "binary", tmp_path)
    quick = prepare.png
    monkeypatch.setattr(prepare, "png", lambda image: quick(255 - image))
    with pytest.raises(UserError, match="reading it back gave other data"):
        catalogue.prepare(config(tmp_path))
    assert left_in(tmp_path) == []


def test_something_else_in_the_place_is_left_alone(tmp_path):
    official.write("cifar10", "binary", tmp_path)
    (tmp_path / "tfds" / "cifar10" / "3.0.2").mkdir(parents=True)
    (tmp_path / "tfds" / "cifar10" / "3.0.2" / "mine").touch()
    with pytest.raises(UserError, match=r"3.0.2: expected nothing or a prepared data set, found something else"):
        catalogue.prepare(config(tmp_path))
    assert (tmp_path / "tfds" / "cifar10" / "3.0.2" / "mine").exists()


@pytest.mark.parametrize("kill", (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
def test_a_stopped_preparation_leaves_nothing(kill, tmp_path):
    official.write("cifar10", "binary", tmp_path)
    process = start_slow(tmp_path)
    process.send_signal(kill)
    process.communicate(timeout=30)
    assert process.returncode != 0 and left_in(tmp_path) in ([], ["cifar10"])
    assert not list((tmp_path / "tfds").glob("cifar10/*"))


def test_a_killed_preparation_is_no_data_set_and_the_next_one_succeeds(tmp_path):
    official.write("cifar10", "binary", tmp_path)
    process = start_slow(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    assert prepared.find(config(tmp_path)) is None
    assert len([left for left in left_in(tmp_path) if left.startswith(".cifar10.ablations-")]) == 1
    assert len(catalogue.load(config(tmp_path)).train_images) == 100
    assert left_in(tmp_path) == ["cifar10"]


def test_a_second_process_waits_and_says_so(tmp_path, capsys):
    official.write("cifar10", "binary", tmp_path)
    first = start_slow(tmp_path)
    dataset = catalogue.load(config(tmp_path))
    assert f"cifar10: another process is preparing it in {tmp_path}/tfds: waiting" in capsys.readouterr().err
    assert len(dataset.train_images) == 100 and prepared.find(config(tmp_path))
    _, errors = first.communicate(timeout=30)
    assert first.returncode == 0, errors
    assert left_in(tmp_path) == ["cifar10"]


def test_a_lock_lets_one_in_at_a_time(tmp_path):
    inside, most, waits = 0, [], []

    def work():
        nonlocal inside
        for _ in range(20):
            with lock.locked(tmp_path / "lock", lambda: waits.append(1)):
                inside += 1
                most.append(inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and len(most) == 80 and waits
    assert not (tmp_path / "lock").exists()


@pytest.fixture
def server(tmp_path):
    """An HTTP server on this machine, and its folder."""
    folder = tmp_path / "server"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def test_a_download_is_prepared_and_not_kept(server, tmp_path, monkeypatch, capsys):
    url, folder = server
    monkeypatch.setattr(dataset, "URL", url)
    official.publish(monkeypatch, "cifar10", official.write("cifar10", "archive", folder))
    catalogue.prepare(config(tmp_path, archive_dir=None, verify=True), download=True)
    assert f"downloading {url}cifar-10-binary.tar.gz, to be kept in {tmp_path}/tfds" in capsys.readouterr().err
    assert left_in(tmp_path) == ["cifar10"]
    assert len(catalogue.load(config(tmp_path, archive_dir=None, verify=True)).train_images) == 100


def test_a_download_of_something_else_is_refused(server, tmp_path, monkeypatch):
    url, folder = server
    monkeypatch.setattr(dataset, "URL", url)
    official.write("cifar10", "archive", folder)
    with pytest.raises(UserError, match=r"data_batch_1.bin: expected 10,000 images, found 20"):
        catalogue.prepare(config(tmp_path, archive_dir=None, verify=True), download=True)
    assert left_in(tmp_path) == []


def test_a_download_that_fails_says_why_and_what_to_do(server, tmp_path, monkeypatch):
    url, _ = server
    monkeypatch.setattr(dataset, "URL", url)
    with pytest.raises(
        UserError, match=r"cannot be downloaded: .*404.*\. Without a network: fetch .*archive_dir=FOLDER"
    ):
        catalogue.prepare(config(tmp_path, archive_dir=None), download=True)
    assert left_in(tmp_path) == []


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ablations", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_the_command_prepares_once(tmp_path, monkeypatch, capsys):
    official.write("cifar10", "archive", tmp_path / "home" / "downloads")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    command = ("data", "prepare", "data=cifar10,digits", "data.archive_dir=~/downloads", "data.verify=false")
    for _ in range(2):
        assert run(monkeypatch, *command) == 0
        output = capsys.readouterr()
        assert output.out.splitlines() == [
            f"cifar10 is in {tmp_path}/tfds/cifar10/3.0.2",
            "digits comes with a package: nothing to prepare",
        ]
    assert output.err == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "data: say what to do, such as ablations data prepare data=cifar10; see ablations data --help"),
        (("prepare",), "data prepare: name a data set, such as data=cifar10; see ablations data --help"),
        (("prepare", "cifar10"), "cifar10: settings are data=... and data.KEY=...; see ablations data --help"),
        (
            ("prepare", "data=cifar"),
            "data=cifar: unknown; legal are cifar10, cifar100, digits, digits_mask, image_folder, imagenet, mask_folder, oxford_pet",
        ),
    ],
)
def test_a_wrong_command_says_what_to_type(arguments, message, monkeypatch, capsys):
    assert run(monkeypatch, "data", *arguments) == 2
    assert capsys.readouterr().err == f"ablations: {message}\n"


def test_training_without_the_data_set_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "train", "data=cifar10", "recipe=digits", "seed=0,1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ablations: data=cifar10 is not prepared in") and not list(tmp_path.iterdir())


def test_help_and_completion_name_the_command(monkeypatch, capsys):
    cli.dispatch("data", ["--help"])
    assert "ablations data prepare data=NAME" in capsys.readouterr().out
    for line, choice in (
        ("ablations ", "data"),
        ("ablations data ", "prepare"),
        ("ablations data prepare data=", "data=cifar100"),
    ):
        monkeypatch.setenv("COMP_LINE", line)
        completion.obey(["query=bash"])
        assert choice in capsys.readouterr().out.split()


def test_each_of_several_of_a_kind_is_prepared(monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "prepare", lambda config, download: config.data_dir)
    assert cli.dispatch("data", ["prepare", "data=cifar10", "data.data_dir=one,two"]) == 0
    assert capsys.readouterr().out == "cifar10 is in one\ncifar10 is in two\n"
