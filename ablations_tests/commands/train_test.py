"""Whole runs: the same command the same numbers, also after a kill; what is done is not done again."""

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from ablations.data import catalogue
from ablations.runs.folder import RunFolder
from ablations.runs.record import read_metrics, read_record
from ablations.training import evaluation, statistics
from ablations.training.loop import train
from ablations.training.steps import Steps
from ablations_tests.conftest import COMMAND, FEW_IMAGES, FINISHED, ONE_UNIT, configure, here, processes_in

TINY = (*ONE_UNIT, "recipe.total_steps=6", "recipe.evaluate_every=4", *FEW_IMAGES)


def run_folder(cwd):
    (folder,) = (cwd / "runs" / "single").glob("*/seed=0")
    return folder


def test_a_run_leaves_a_whole_record(finished):
    cwd, folder = finished
    record, metrics = read_record(folder), read_metrics(folder)
    assert [line["step"] for line in metrics] == [3, 6]
    assert list(metrics[0]) == [
        "step",
        "epoch",
        "lr",
        "train_loss",
        "train_error_percent",
        "test_loss",
        "test_error_percent",
    ]
    assert metrics[-1]["epoch"] == pytest.approx(6 * 8 / 1437)
    assert record["test_error_percent"] == metrics[-1]["test_error_percent"]
    assert record["train_loss"] == metrics[-1]["train_loss"]
    assert (record["status"], record["steps"], record["seed"], record["study"]) == ("done", 6, 0, "single")
    assert record["parameters"] == 9 * 8 + 2 * 8 + 9 * 8 * 8 + 2 * 8 + (8 + 1) * 10 and record["macs"] > 0
    assert record["config"] == configure(*FINISHED).resolved()
    for key in ("compile_seconds", "wall_seconds", "train_images_per_second"):
        assert record[key] > 0
    assert (
        {"jax", "flax", "python"} <= set(record["versions"])
        and record["device"].startswith("cpu: ")
        and record["commit"]
    )
    assert sorted(os.listdir(folder)) == [".hydra", "lock", "metrics.jsonl", "record.json", "weights.safetensors"]


def test_training_figures_are_means_since_the_line_before(tmp_path):
    def lines(every):
        config = configure(*TINY, "recipe.total_steps=5", f"recipe.evaluate_every={every}")
        folder = tmp_path / str(every)
        folder.mkdir()
        train(config, folder, quiet=True)
        return read_metrics(folder)

    each, some = lines(1), lines(3)
    assert [line["step"] for line in some] == [3, 5]
    for key in ("train_loss", "train_error_percent"):
        assert some[0][key] == pytest.approx(np.mean([line[key] for line in each[:3]]))
        assert some[1][key] == pytest.approx(np.mean([line[key] for line in each[3:]]))


def test_what_is_done_is_not_done_again_unless_forced(finished):
    cwd, folder = finished
    before = (folder / "record.json").stat().st_mtime_ns
    line = ("train", *FINISHED)
    again = here(*line, cwd=cwd)
    assert again.returncode == 0 and "done already, test error" in again.stdout
    assert (folder / "record.json").stat().st_mtime_ns == before
    first = read_record(folder)
    assert here(*line, "force=true", "hydra/launcher=basic", cwd=cwd).returncode == 0
    second = read_record(folder)
    assert (folder / "record.json").stat().st_mtime_ns != before
    same = ("test_error_percent", "train_loss", "config")
    assert [first[key] for key in same] == [second[key] for key in same], "the same command gives the same numbers"


def test_another_configuration_in_the_same_folder_is_refused(finished):
    cwd, folder = finished
    record = json.loads((folder / "record.json").read_text())
    record["config"]["recipe"]["momentum"] = 0.5
    (folder / "record.json").write_text(json.dumps(record))
    done = here("train", *FINISHED, cwd=cwd)
    assert done.returncode == 2 and "recipe.momentum: 0.5 there, 0.9 here" in done.stderr


def test_a_loss_that_is_not_finite_is_a_result(tmp_path):
    too_fast = ("recipe.learning_rate=1e30", "recipe.warmup_fraction=0")
    done = here("train", *TINY, *too_fast, "hydra/launcher=basic", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(run_folder(tmp_path))
    assert record["status"] == "diverged" and record["steps"] < 6
    json.loads((run_folder(tmp_path) / "record.json").read_text(), parse_constant=pytest.fail)


@functools.cache
def steps_of(*overrides):
    """Compiled once for the tests that need the same."""
    config = configure(*overrides)
    return Steps(config, catalogue.load(config.data))


SMALL = (*ONE_UNIT, "shortcut=dropout", "recipe.batch_size=8")


def test_many_steps_in_one_call_are_the_same_steps():
    steps = steps_of(*SMALL)
    batches = np.arange(4 * 8).reshape(4, 8)
    one_by_one = steps.init()
    losses = []
    for batch in batches:
        one_by_one, loss, _ = steps.train(one_by_one, batch[None])
        losses += loss.tolist()
    together, all_losses, _ = steps.train(steps.init(), batches)
    np.testing.assert_allclose(all_losses, losses, rtol=1e-4)
    assert int(together.step) == int(one_by_one.step) == 4


def test_every_step_has_crops_of_its_own():
    """The same images, weights and dropout give another loss at another step, and the same at the same."""
    steps = steps_of(*SMALL)

    def loss(step):
        return steps.train(steps.init()._replace(step=np.int32(step)), np.arange(8)[None])[1]

    assert loss(0) == loss(0) != loss(1)


def test_what_is_no_part_of_a_network_starts_from_the_same_bits():
    """And a step keeps what the state consists of. bf16 stays near f32."""
    steps, other_steps = steps_of(*SMALL), steps_of(*SMALL, "precision=bf16", "unroll=true")
    state, other = steps.init(), other_steps.init()

    def numbers(x):
        return jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(numbers, state), jax.tree.map(numbers, other))
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), state)
    _, expected, _ = steps.train(state, np.arange(8)[None])
    after, loss, _ = other_steps.train(other, np.arange(8)[None])
    np.testing.assert_allclose(loss, expected, rtol=0.1)
    assert loss != expected
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == shapes


def test_exact_statistics_are_those_of_the_training_set():
    """Of the stem's BN, whose input does not depend on other statistics."""
    from ablations.training import augmentation
    from ablations_tests import reference

    steps = steps_of(*ONE_UNIT, "recipe.batch_size=3")  # 3 x 479 = 1437; batches that differ
    state = statistics.exact(steps, steps.init())
    images = steps.dataset.train_images
    mean, _ = augmentation.statistics(images, "per_pixel_mean")
    x = reference.conv(images / 255.0 - mean, np.asarray(state.params["stem"]["kernel"]))
    ours = state.others["stem_activation"]["bn"]
    np.testing.assert_allclose(ours["mean"], x.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(ours["variance"], x.var((0, 1, 2)), rtol=1e-4)


def test_the_test_set_is_tested_whole():
    steps = steps_of(*SMALL, "recipe.batch_size=100")  # 360 is no multiple of 100
    state = steps.init()
    logits = steps.logits(state, steps.dataset.test_images)
    assert logits.shape == (360, 10)
    one = steps.logits(state, steps.dataset.test_images[350:])
    np.testing.assert_allclose(logits[350:], one, atol=1e-4)
    assert evaluation.test(steps, state).error_percent() == pytest.approx(
        100 * (logits.argmax(1) != steps.dataset.test_labels).mean()
    )


LONGER = (
    "train", *ONE_UNIT, *FEW_IMAGES, "recipe.total_steps=48", "recipe.evaluate_every=16",
    "recipe.bn_statistics=exact",
)  # fmt: skip
SLOWLY = "checkpoint_seconds=0"  # so that there is time to stop a run: a checkpoint after each step


def start(cwd, *arguments):
    return subprocess.Popen([*COMMAND, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=90):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_run_that_is_stopped_and_killed_goes_on_to_the_same_bits(tmp_path):
    """Ctrl-C, SIGKILL at a random moment and SIGTERM, then to the end."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir(), stopped.mkdir()
    train(configure(*LONGER[1:]), whole, quiet=True)
    chance = random.Random(0)
    for stops, number in enumerate((signal.SIGINT, signal.SIGKILL, signal.SIGTERM)):
        for left in stopped.glob("runs/single/*/seed=0/progress.json"):  # by one that was killed
            left.unlink()
        process = start(stopped, *LONGER, SLOWLY)
        wait_for(lambda p=process: list(stopped.glob("runs/single/*/seed=0/progress.json")) or p.poll() is not None)
        if number == signal.SIGKILL:
            time.sleep(chance.uniform(0, 0.4))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert ("goes on from step" in errors) == (stops > 0) and "Traceback" not in errors
        if number == signal.SIGKILL:
            assert process.returncode == -number
        else:
            assert process.returncode == 128 + number
            assert "which is kept in" in errors and "type the same command to go on" in errors
    done = here(*LONGER, "hydra/launcher=basic", cwd=stopped)
    assert done.returncode == 0 and "goes on from step" in done.stderr, done.stderr
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (whole / name).read_bytes() == (run_folder(stopped) / name).read_bytes(), name
    assert not (run_folder(stopped) / "checkpoints").exists()


def test_a_full_disk_ends_with_a_message_and_loses_nothing(finished, monkeypatch):
    from ablations.errors import UserError
    from ablations.launch import entry
    from ablations.training import checkpoint

    cwd, folder = finished
    config = configure(*FINISHED, "recipe.momentum=0.5", f"runs_dir={cwd}/runs", "checkpoint_seconds=0")
    target = RunFolder.of(config).path
    target.mkdir(parents=True)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.Checkpoints, "save", full)
    [error] = entry.run([config], quiet=True)
    assert isinstance(error, UserError)
    assert "cannot be written: No space left on device; what was finished is kept" in str(error)
    assert read_record(target) is None and read_record(folder)


def test_two_identical_sweeps_share_the_work(tmp_path):
    line = ("train", *ONE_UNIT, *FEW_IMAGES, "seed=0,1", "recipe.total_steps=12")
    both = [start(tmp_path, *line, "hydra.launcher.n_jobs=1") for _ in range(2)]
    outputs = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    folders = sorted((tmp_path / "runs" / "single").glob("*/seed=*"))
    assert len(folders) == 2
    for folder in folders:
        assert read_record(folder)["status"] == "done"
        assert [line["step"] for line in read_metrics(folder)] == [12]
    assert not list(tmp_path.rglob(".stop-*"))


def test_a_sweep_whose_process_is_killed_stops_its_workers_and_keeps_their_steps(tmp_path):
    line = [*ONE_UNIT, *FEW_IMAGES, "seed=0,1,2", "recipe.total_steps=3000"]
    line += ["hydra.launcher.n_jobs=2"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*COMMAND, "train", *line], cwd=tmp_path, **silent)
    wait_for(lambda: len(list(tmp_path.glob("runs/single/*/seed=*/progress.json"))) == 2)
    process.kill()
    process.wait()
    wait_for(lambda: not list(tmp_path.glob("runs/single/*/seed=*/progress.json")))
    kept = {path.parents[1].name for path in tmp_path.glob("runs/single/*/seed=*/checkpoints/[0-9]*")}
    assert kept == {"seed=0", "seed=1"}, "the third was not started"
    if sys.platform == "linux":
        wait_for(lambda: not processes_in(tmp_path))


def test_eval_gives_the_error_of_the_record(finished):
    cwd, folder = finished
    done = here("eval", f"run={folder}", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert f"test error {read_record(folder)['test_error_percent']:.2f} %" in done.stdout.splitlines()[0]
    other = here("eval", f"run={folder}", "data.split=train_val", cwd=cwd)
    assert "on digits, train_val" in other.stdout and "of 144 images" in other.stdout
    (folder / "weights.safetensors").write_bytes(b"damaged")
    damaged = here("eval", f"run={folder}", cwd=cwd)
    assert damaged.returncode == 2 and "weights.safetensors is damaged" in damaged.stderr


@pytest.mark.parametrize("precision,dtype", [("f32", "float32"), ("bf16", "bfloat16")])
def test_all_convolutions_are_in_the_precision_that_is_asked_for(precision, dtype):
    """Forwards and backwards; what is kept is float32."""
    from jax.extend.core import jaxprs_in_params

    def equations(jaxpr):
        for equation in jaxpr.eqns:
            yield equation
            for inner in jaxprs_in_params(equation.params):
                yield from equations(inner)

    extra = ("precision=bf16", "unroll=true") if precision == "bf16" else ()  # as above
    traced = steps_of(*SMALL, *extra).trace_train(1)
    convolutions = [one for one in equations(traced.jaxpr.jaxpr) if one.primitive.name == "conv_general_dilated"]
    assert len(convolutions) >= 2 * 2  # of two layers, forwards and backwards
    assert {str(value.aval.dtype) for one in convolutions for value in one.invars} == {dtype}
    state = traced.out_info[0]
    assert {str(x.dtype) for x in jax.tree.leaves(state.params)} == {"float32"}
