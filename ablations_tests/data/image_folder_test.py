"""Folders of images: what is found, what is refused before training, and whole runs on them."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ablations import randomness
from ablations.data import catalogue, loader, moments, picture
from ablations.data.config import DataConfig
from ablations.data.crops import Middle, Random, decode
from ablations.errors import UserError
from ablations.runs.record import read_metrics, read_record
from ablations.training import augmentation, feed, processes, statistics, weights
from ablations.training.loop import train
from ablations.training.steps import Steps
from ablations_tests import pictures
from ablations_tests.commands.train_test import wait_for
from ablations_tests.conftest import ONE_UNIT, SLOWLY, configure, here

SMALL = (*ONE_UNIT, "recipe.batch_size=8", "recipe.evaluate_every=4", "recipe.total_steps=8")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return pictures.folder(tmp_path_factory.mktemp("pictures") / "small")


def settings(root, *overrides):
    return ["data=image_folder", f"data.root={root}", "data.crop=16", "data.workers=0", *SMALL, *overrides]


def config(root, **others):
    return DataConfig("image_folder", root=str(root), **({"crop": 16, "test_crops": [16], "workers": 0} | others))


def test_classes_are_folders_and_images_are_files(root, tmp_path):
    dataset = catalogue.load(config(root))
    assert dataset.classes == 7 and dataset.train_images.shape == (42, 16, 16, 3) and len(dataset.test_images) == 21
    expected = [
        (root / "train" / name / file, label)
        for label, name in enumerate(pictures.CLASSES)
        for file in sorted(pictures.of("train", 7, 6)[name])
    ]
    found = [(dataset.train_images.name(i), label) for i, label in enumerate(dataset.train_labels)]
    assert found == [(str(path), label) for path, label in expected]
    np.testing.assert_array_equal(
        np.asarray(dataset.train_images[[3, 30]]),
        [decode(expected[i][0].read_bytes(), Middle(16, 18)) for i in (3, 30)],
    )
    assert catalogue.sizes(config(root)) == (42, 21) and catalogue.kind(config(root)).image == (16, 16, 3)


def test_what_is_no_image_or_hidden_is_left_out(root, tmp_path):
    made = pictures.folder(tmp_path / "made", classes=2, train=2, val=1)
    (made / "train" / ".git").mkdir()
    (made / "train" / "readme.txt").touch()
    (made / "train" / pictures.CLASSES[0] / "notes.txt").touch()
    (made / "train" / pictures.CLASSES[0] / "._x.JPEG").touch()
    assert len(catalogue.load(config(made)).train_images) == 4
    (made / "train" / "loose.jpg").touch()
    for i in range(3):
        (made / "val" / pictures.CLASSES[1] / f"{i}.HEIC").touch()
    assert catalogue.left_out(config(made)) == [
        "train/: pictures in no folder of a class: 1",
        "train/: files with endings of no picture: 1 .txt",
        "val/: files with endings of no picture: 3 .heic",
    ]
    (made / "train" / pictures.CLASSES[0] / "new.png").touch()
    assert len(catalogue.load(config(made)).train_images) == 5, "a folder that has changed is listed again"


NAMES = (
    b"\xff\xfe.jpg",
    b"two\nlines.jpg",
    b"--help.jpg",
    b" .jpg",
    "\u202eé☃.jpg".encode(),
    b"day 1/x\\..jpg",
    b"a/b/c.JPG",
)


def test_names_of_any_bytes_in_sub_folders_are_read_and_told_on_one_line(tmp_path, capsys):
    from ablations import cli

    made = pictures.folder(tmp_path / "made", classes=2, train=1, val=1)
    folder = os.fsencode(made / "train" / pictures.CLASSES[0])
    for i, name in enumerate(NAMES):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"" if i < 2 else pictures.jpeg(i))
    os.makedirs(os.path.join(folder, b".hidden"))
    os.symlink(folder, os.path.join(folder, b"a", b"loop"))
    images = catalogue.load(config(made)).train_images
    assert len(images) == len(NAMES) + 2
    assert [bytes(n) for n in images.source.names[:-1]] == sorted([*NAMES, f"{pictures.CLASSES[0]}_0.JPEG".encode()])
    moments.measure(images, 0)
    with pytest.raises(UserError, match="2 of 11 images cannot be used"):
        cli.dispatch("data", ["prepare", "data=image_folder", f"data.root={made}", "data.workers=0"])
    _, *faults = capsys.readouterr().out.encode().decode().splitlines()
    place = f"{made}/train/{pictures.CLASSES[0]}"
    assert faults == [rf"{place}/two\x0alines.jpg: the file is empty", rf"{place}/\xff\xfe.jpg: the file is empty"]
    (made / "train" / pictures.CLASSES[0] / "a" / "b" / "new.jpg").touch()
    assert len(catalogue.load(config(made)).train_images) == len(NAMES) + 3, "a sub-folder has changed"


def test_images_stand_upright_unless_they_are_to_be_as_stored(tmp_path, monkeypatch):
    """A mean of other pixels is not what was kept."""
    made = pictures.folder(tmp_path / "made", classes=2, train=1, val=1)
    exif = Image.Exif()
    exif[picture.ORIENTATION] = 3
    for path in made.rglob("*.JPEG"):
        with Image.open(path) as image:
            image.save(path, exif=exif)
    upright = catalogue.load(config(made)).train_images
    stored = dataclasses.replace(upright, upright=False)
    difference = np.asarray(upright)[:, ::-1, ::-1].astype(int) - np.asarray(stored)
    assert np.abs(difference).max() <= 1 and (np.asarray(upright) != np.asarray(stored)).any()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for images in (upright, stored, upright):
        moments.measure(images, 0)
    monkeypatch.setattr(picture, "MEANING", 0)
    moments.measure(upright, 0)
    assert len(list((tmp_path / "ablations" / "moments").iterdir())) == 3


def empty_class(made):
    for file in (made / "train" / pictures.CLASSES[1]).iterdir():
        file.unlink()


def no_val(made):
    (made / "val").rename(made / "validation")


def other_class(made):
    (made / "val" / pictures.CLASSES[0]).rename(made / "val" / "dogs")


def extra_class(made):
    (made / "val" / "dogs").mkdir()
    (made / "val" / "dogs" / "a.jpg").touch()


def no_class(made):
    for folder in (made / "train").iterdir():
        folder.rename(made / folder.name)


@pytest.mark.parametrize(
    "damage, message",
    [
        (empty_class, "train: no images in n01443537; add some .* or remove the folder"),
        (no_val, "val: No such file or directory; the folder must hold train/ and val/"),
        (other_class, "val: has no folder for n01440764 of train/: both must have the same classes"),
        (extra_class, "train: has no folder for dogs of val/: both must have the same classes"),
        (no_class, "train: has no folders; it must have one a class"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_one_message(damage, message, tmp_path, monkeypatch, capsys):
    from ablations import cli

    made = pictures.folder(tmp_path / "made", classes=2, train=2, val=1)
    damage(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ablations", "train", *settings(made)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith("ablations: ")
    with pytest.raises(UserError, match=message):
        catalogue.load(config(made))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"root": None}, "data.root: say which folder has train/ and val/"),
        ({"crop": None}, "data.crop=None: must be at least 1"),
        ({"test_crops": []}, r"data.test_crops=\[\]: give one or more"),
        ({"pad": 4}, "data.pad=4: image_folder has crop and scale in its place"),
        ({"scale": "random"}, "data.scale=random: legal are none, shorter_side, area_aspect"),
        ({"colour": "red"}, "data.colour=red: legal are none, lighting, jitter"),
        ({"broken": "mend"}, "data.broken=mend: legal are refuse, skip"),
        ({"workers": -1}, "data.workers=-1: must be at least 0"),
    ],
)
def test_illegal_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**({"name": "image_folder", "root": "x", "crop": 16, "test_crops": [16]} | settings))
    with pytest.raises(ValueError, match="data.crop=16: only for image files"):
        DataConfig("digits", crop=16)


def test_without_grain_the_command_names_the_extra(root, monkeypatch):
    monkeypatch.setattr(loader, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need Grain: pip install 'ablations\[imagenet\]'"):
        catalogue.prepare(config(root))


def test_batches_are_a_function_of_seed_and_step(root):
    dataset = catalogue.load(config(root))
    args = dataset.train_images, dataset.train_labels, Random(16, "shorter_side"), 3, 8
    whole = loader.Training(*args, range(8), False)
    batch = whole(5)
    chosen = randomness.batches(3, 5, 1, 8, 42)[0]
    assert (batch["labels"] == dataset.train_labels[chosen]).all() and batch["images"].shape == (8, 16, 16, 3)
    for place, number in enumerate(chosen):
        expected = dataset.train_images.decode(int(number), args[2], randomness.image_generator(3, 5 * 8 + place))
        np.testing.assert_array_equal(batch["images"][place], expected)
    halves = [loader.Training(*args, rows, False)(5) for rows in (range(4), range(4, 8))]
    np.testing.assert_array_equal(np.concatenate([half["images"] for half in halves]), batch["images"])
    assert (whole(6)["images"] != batch["images"]).any()


def test_each_host_reads_its_part(root):
    config = configure(*settings(root))
    dataset = catalogue.load(config.data)
    with feed.Training(config, dataset, range(2, 8)) as whole:
        expected = whole.take(2)
    parts = []
    for index in range(4):
        with feed.Training(config, dataset, range(2, 8), shard=(index, 4)) as part:
            parts.append(part.take(2))
    for name in ("images", "labels"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], 1), expected[name])


def start_with_workers(cwd, line, workers):
    """Begin or go on in a session of its own, and return when steps are being made."""
    seen = list(cwd.glob("runs/single/*/seed=0/progress.json"))
    assert not seen
    options = {"cwd": cwd, "start_new_session": True, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*SLOWLY, "train", *line, f"data.workers={workers}"], **options)
    wait_for(lambda: list(cwd.glob("runs/single/*/seed=0/progress.json")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1]
    return process


def session_of(pid) -> int | None:
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, _, _, session = file.read().rpartition(")")[2].split()[:4]
    except OSError:
        return None
    return None if state == "Z" else int(session)


def test_a_stopped_run_goes_on_to_the_same_bits_with_another_number_of_workers(root, tmp_path):
    """Stopped by its terminal's Ctrl-C, with two workers; killed, with one; ended without workers."""
    line = settings(root, "recipe.total_steps=48", "recipe.evaluate_every=24", "recipe.batch_size=2")
    process = start_with_workers(tmp_path, line, 2)
    os.killpg(process.pid, signal.SIGINT)  # a terminal signals the workers, too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "type the same command to go on" in errors, errors
    assert "Traceback" not in errors and "leaked" not in errors, errors
    process = start_with_workers(tmp_path, line, 1)
    workers = [pid for pid in os.listdir("/proc") if pid.isdigit() and session_of(pid) == process.pid != int(pid)]
    assert workers
    process.kill()
    process.communicate()
    wait_for(lambda: not any(session_of(pid) == process.pid for pid in workers))
    (folder,) = tmp_path.glob("runs/single/*/seed=0")
    (folder / "progress.json").unlink(missing_ok=True)
    done = here("train", *line, "hydra/launcher=basic", cwd=tmp_path)
    assert done.returncode == 0 and "goes on from step" in done.stderr, done.stderr
    whole = tmp_path / "whole"
    whole.mkdir()
    train(configure(*line), whole, quiet=True)
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def spoil(made, split, places):
    files = sorted((made / split).rglob("*.JPEG"))
    for place in places:
        files[place].write_bytes(files[place].read_bytes()[:300])
    return [str(files[place]) for place in places]


def test_a_broken_image_is_named_and_refused(tmp_path):
    made = pictures.folder(tmp_path / "made", classes=2, train=6, val=2)
    (bad,) = spoil(made, "train", [3])
    with pytest.raises(UserError, match=f"^{bad}: broken: .*data.broken=skip"):
        train(configure(*settings(made)), tmp_path, quiet=True)
    done = here("train", *settings(made, "data.workers=1"), cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert any(line.startswith(f"ablations: {bad}: broken: ") for line in done.stderr.splitlines()), done.stderr
    assert not list(tmp_path.rglob("record.json"))


def test_preparing_reads_every_image_and_names_broken_ones(tmp_path, monkeypatch, capsys):
    from ablations import cli

    made = pictures.folder(tmp_path / "made", classes=2, train=6, val=2)
    line = ["prepare", "data=image_folder", f"data.root={made}", "data.workers=0"]
    assert cli.dispatch("data", line) == 0
    assert capsys.readouterr().out == f"image_folder is in {made}\nall 16 images can be read\n"
    bad = [*spoil(made, "train", [3, 9]), *spoil(made, "val", [0])]
    with pytest.raises(
        UserError, match="^image_folder: 3 of 16 images cannot be used; repair or remove .*broken=skip$"
    ):
        cli.dispatch("data", line)
    _, *faults = capsys.readouterr().out.splitlines()
    assert [fault.split(": ")[0] for fault in faults] == bad and all("truncated" in fault.lower() for fault in faults)


def test_too_little_room_is_said_before_the_first_step(root, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"the run's checkpoints take .* MB of disk space, 1 kB are free"):
        train(configure(*settings(root)), tmp_path, quiet=True)
    with pytest.raises(UserError, match=r"data.workers=2: workers pass batches through /dev/shm, which has 0 MB free"):
        loader.check_room(10**6, 2)
    loader.check_room(10**6, 0)


def test_broken_images_are_named_and_skipped(tmp_path, capsys):
    made = pictures.folder(tmp_path / "made", classes=2, train=6, val=4)
    bad = [*spoil(made, "train", [3, 4]), *spoil(made, "val", [7])]
    (tmp_path / "run").mkdir()
    train(configure(*settings(made, "data.broken=skip", "recipe.batch_size=4")), tmp_path / "run")
    record, said = read_record(tmp_path / "run"), capsys.readouterr().err
    assert sorted(record["broken_images"]) == sorted(bad) and record["test_images"] == 7
    assert all(said.count(f"{name} is broken: skipped") == 1 for name in bad)
    assert record["test_error_percent"] in [100 * wrong / 7 for wrong in range(8)]


def test_the_next_image_takes_the_place_of_a_broken_one(tmp_path):
    made = pictures.folder(tmp_path / "made", classes=2, train=4, val=1)
    spoil(made, "train", [6, 7])
    dataset = catalogue.load(config(made))
    crop = Random(16, "shorter_side")
    batch = loader.Training(dataset.train_images, dataset.train_labels, crop, 0, 8, range(8), True)(0)
    chosen = randomness.batches(0, 0, 1, 8, 8)[0].tolist()
    assert sorted(set(batch["broken"].tolist())) == [6, 7]
    for place, number in enumerate(chosen):
        taken = 0 if number in (6, 7) else number  # the last two: the first takes their place
        expected = dataset.train_images.decode(taken, crop, randomness.image_generator(0, place))
        np.testing.assert_array_equal(batch["images"][place], expected)
        assert batch["labels"][place] == dataset.train_labels[taken]
    spoil(made, "train", range(8))
    with pytest.raises(UserError, match="broken, as are all the others"):
        loader.Training(dataset.train_images, dataset.train_labels, crop, 0, 8, range(8), True)(0)


def test_errors_of_a_record_are_those_of_its_weights_by_hand(root, tmp_path):
    """Top-1 and top-5 at two crops, from the exported weights and images cut by PIL alone."""
    config = configure(*settings(root, "data.test_crops=[24,16]", "recipe.normalization=per_channel"))
    train(config, tmp_path, quiet=True)
    record, dataset = read_record(tmp_path), catalogue.load(config.data)
    steps = Steps(config, dataset)
    state = weights.load(tmp_path / "weights.safetensors", steps, steps.init())
    for pixels, shorter_side, end in ((24, 24, ""), (16, 18, "_16")):
        wrong = {1: 0, 5: 0}
        images = []
        for i in range(21):
            image = Image.open(dataset.test_images.name(i))
            scale = shorter_side / min(image.size)
            width, height = (round(side * scale) for side in image.size)
            left, top = (width - pixels) // 2, (height - pixels) // 2
            scaled = image.resize((width, height), Image.Resampling.BILINEAR)
            images.append(np.asarray(scaled.crop((left, top, left + pixels, top + pixels))))
        for row, label in zip(steps.logits(state, np.stack(images)), dataset.test_labels, strict=True):
            best = sorted(range(7), key=lambda i, row=row: -row[i])
            for guesses in wrong:
                wrong[guesses] += label not in best[:guesses]
        assert record[f"test_error_percent{end}"] == pytest.approx(100 * wrong[1] / 21)
        assert record[f"test_top5_error_percent{end}"] == pytest.approx(100 * wrong[5] / 21)
    last = read_metrics(tmp_path)[-1]
    assert {name: value for name, value in last.items() if name.startswith(("test_error", "test_top5"))} == {
        name: value for name, value in record.items() if name.startswith(("test_error", "test_top5"))
    }
    assert "test_error_percent_16" not in read_metrics(tmp_path)[0], "the other crops come after the last step"


def test_normalisation_and_exact_statistics_are_those_of_the_training_set(root):
    from ablations_tests import reference

    config = configure(*settings(root, "recipe.batch_size=6", "recipe.normalization=per_channel"))
    dataset = catalogue.load(config.data)
    steps = Steps(config, dataset)
    images = np.asarray(dataset.train_images) / 255
    np.testing.assert_allclose(steps.normalization["mean"], images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(steps.normalization["divisor"], images.std((0, 1, 2)), rtol=1e-5)
    covariance = np.cov(images.reshape(-1, 3).T, bias=True)
    components = np.asarray(steps.data["colours"])
    np.testing.assert_allclose(components.T @ components, covariance @ covariance, rtol=1e-3)
    state = statistics.exact(steps, steps.init())
    x = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    x = reference.conv(x, np.asarray(state.params["stem"]["kernel"]))
    np.testing.assert_allclose(state.others["stem_activation"]["bn"]["mean"], x.mean((0, 1, 2)), atol=1e-4)
    pixelwise = Steps(configure(*settings(root)), dataset)
    np.testing.assert_allclose(pixelwise.normalization["mean"], images.mean(0), rtol=1e-5)


def test_the_step_takes_images_as_it_takes_numbers(root):
    """One step for both: the same images in memory, chosen by number, give the same numbers."""
    config = configure(*settings(root, "data.colour=none", "recipe.normalization=per_channel"))
    streamed = catalogue.load(config.data)
    images = np.asarray(streamed.train_images)
    in_memory = dataclasses.replace(
        streamed, train_images=images, test_images=np.asarray(streamed.test_images), streamed=False
    )
    ours, theirs = Steps(config, streamed), Steps(config, in_memory)
    numbers = randomness.batches(0, 0, 1, 8, 42)
    batches = {"images": images[numbers], "labels": streamed.train_labels[numbers]}
    one, other = ours.train(ours.init(), batches), theirs.train(theirs.init(), numbers)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-6)
    assert one[2] == other[2]


def test_eval_and_plan_know_it(root, networks_read_here, tmp_path):
    folder = tmp_path / "runs" / "single" / "x" / "seed=0"
    folder.mkdir(parents=True)
    train(configure(*settings(root)), folder, quiet=True)
    record = read_record(folder)
    done = here("eval", f"run={folder}", "data.test_crops=[16,20]", "data.workers=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second, _ = (*done.stdout.splitlines(), "")[:3]
    expected = f"test error {record['test_error_percent']:.2f} %"
    assert "crops of 16 pixels" in first and expected in first and "top-5" in first and "crops of 20 pixels" in second
    planned = here("plan", *settings(root), "calibrate=false", cwd=tmp_path)
    assert planned.returncode == 0 and "image_folder (42 images of 16x16)" in planned.stdout, planned.stderr


def test_every_step_draws_scales_and_crops_of_its_own(root):
    dataset = catalogue.load(config(root))
    one = dataclasses.replace(dataset, train_images=dataset.train_images[[0]], train_labels=dataset.train_labels[[0]])
    batch = loader.Training(one.train_images, one.train_labels, Random(16, "area_aspect"), 0, 4, range(4), False)
    seen = np.concatenate([batch(step)["images"] for step in range(5)])
    assert len({image.tobytes() for image in seen}) == 20


def test_a_mean_image_is_scaled_to_crops_of_other_size(root):
    steps = Steps(configure(*settings(root, "recipe.normalization=per_pixel_mean")), catalogue.load(config(root)))
    mean = steps.normalization["mean"]
    assert mean.shape == (16, 16, 3)
    images = np.full((2, 24, 24, 3), 255, np.uint8)
    found = np.asarray(augmentation.normalise(images, mean, steps.normalization["divisor"]))
    assert found.shape == (2, 24, 24, 3) and abs((1 - found).mean() - mean.mean()) < 0.01


def test_room_for_batches_is_reckoned_with_the_tests(root, monkeypatch):
    """A batch of 8 of 16 pixels to train on, one of 24 to test, of which each worker has six of each on their way."""
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(loader, "check_room", lambda batch_bytes, workers: asked.append((batch_bytes, workers)))
        with feed.Training(
            configure(*settings(root, "data.test_crops=[16,24]")), catalogue.load(config(root)), range(1)
        ):
            pass
    assert asked == [(3 * 8 * (16**2 + 24**2), 0)]
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=11 * 10**6))
    with pytest.raises(UserError, match=r"has 11 MB free and needs 12 MB"):
        loader.check_room(10**6, 2)


def test_broken_images_of_other_processes_are_named_and_recorded(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "all_processes", lambda found: [found, ["other.jpeg"]])
    train(configure(*settings(root, "recipe.total_steps=1", "recipe.bn_statistics=running")), tmp_path)
    assert read_record(tmp_path)["broken_images"] == ["other.jpeg"]
    assert capsys.readouterr().err.count("other.jpeg is broken: skipped") == 1


def test_an_image_that_is_gone_is_a_broken_one(tmp_path):
    made = pictures.folder(tmp_path / "made", classes=2, train=6, val=2)
    gone = made / "train" / pictures.CLASSES[1] / "dangling.JPEG"
    gone.symlink_to(tmp_path / "nowhere.JPEG")
    images = catalogue.load(config(made)).train_images
    (number,) = (i for i in range(len(images)) if images.name(i) == str(gone))
    assert images.source.stamp(number) == f"{gone} broken"
    moments.measure(images, 0)
    with pytest.raises(UserError, match=f"^{gone}: broken: "):
        np.asarray(images[[number]])


def test_workers_leave_signals_to_the_training_process():
    code = (
        "import os, signal\n"
        "from ablations.data import loader\n"
        "loader._begin(0, 1)\n"
        "for name in ('INT', 'TERM', 'HUP', 'USR1', 'USR2'): os.kill(os.getpid(), getattr(signal, f'SIG{name}'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
