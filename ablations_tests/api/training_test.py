"""`ablations.train`: what the command makes, to the same bits, in the same folder, under the same lock."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import ablations as ab
from ablations.api.configuration import settings_of
from ablations.runs.record import first_difference
from ablations.system import interrupt, lock
from ablations_tests.conftest import FEW_IMAGES, ONE_UNIT, ablations, here

SETTINGS = (*ONE_UNIT, "recipe.total_steps=4", "recipe.evaluate_every=2", *FEW_IMAGES)

OF_A_ROW = ("study=table1", "row=dropout", "seed=1", *SETTINGS)


def test_a_run_is_the_command_s_to_the_bit_and_is_found_by_its_table(tmp_path, monkeypatch):
    theirs, ours = tmp_path / "command", tmp_path / "python"
    theirs.mkdir(), ours.mkdir()
    done = ablations("train", *OF_A_ROW, cwd=theirs)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(ours)
    run = ab.train(ab.configure(*OF_A_ROW))

    def files(folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    command, python = files(theirs), files(ours)
    assert command.keys() == python.keys()
    same = [name for name in command if command[name] == python[name]]
    assert {name.rpartition("/")[2] for name in same} >= {"metrics.jsonl", "weights.safetensors", "config.yaml"}
    [record] = [json.loads(content) for name, content in command.items() if name.endswith("record.json")]
    varies = {"compile_seconds", "wall_seconds", "train_images_per_second", "command"}
    assert {key: record[key] for key in record.keys() - varies} == {
        key: run.record[key] for key in run.record.keys() - varies
    }, first_difference(record, run.record)
    assert run.record["command"].startswith("ablations.train(shortcut=dropout model=vgg110_digits model.layers=[2]")
    table = here("table", "study=table1", "format=csv", cwd=ours)
    assert table.returncode == 0 and f"{run.record['test_error_percent']:.4f}" in table.stdout
    again = here("train", *OF_A_ROW, cwd=ours)
    assert "done already" in again.stdout


@pytest.mark.parametrize(
    "words",
    [
        (), OF_A_ROW, ("shortcut=constant_scaling", "shortcut.shortcut_scale=0"), ("activation=original", "activation.after=[]"),
        ("model=tutorial44",), ("data=cifar10", "recipe=modern", "data.data_dir='/a b'"), ("recipe=paper", "recipe.drop_fractions=[0.25]"),
        ("logger=wandb", "logger.mode=offline"), ("precision=bf16", "devices=2", "force=true", "data.train_images=100"),
    ],
)  # fmt: skip
def test_the_settings_of_a_configuration_make_it_again(words):
    from ablations.config import compose

    config = ab.configure(*words)
    with compose.hydra() as context:
        assert compose.parse(compose.compose(context, settings_of(config))) == config


def test_a_value_names_the_same_run_as_its_word():
    config = ab.configure(
        *SETTINGS, shortcut="exclusive_gating", **{"shortcut.bias": -6.0, "recipe.drop_fractions": (0.25,)}
    )
    assert config == ab.configure(
        *SETTINGS, "shortcut=exclusive_gating", "shortcut.bias=-6", "recipe.drop_fractions=[0.25]"
    )


@pytest.mark.parametrize(
    "words,message",
    [
        (("model",), "model: settings are key=value, such as configure"),
        (("seed=0,1",), "these settings make 2 runs (default seed=0, default seed=1)"),
        (("study=demo",), "these settings make 16 runs (identity_20 seed=0, identity_110 seed=0, "),
        (("shortcut=identty",), "shortcut=identty: unknown; legal are constant_scaling"),
    ],
)
def test_a_mistake_is_one_message(words, message):
    with pytest.raises(ab.UserError) as error:
        ab.configure(*words)
    assert str(error.value).startswith(message) and len(error.value._render_traceback_()) == 1


def test_a_hydra_of_the_caller_s_own_stays(tmp_path):
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    (tmp_path / "mine.yaml").write_text("x: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert ab.configure("model=resnet20").model.depth == 20
        assert hydra.compose("mine").x == 1
    assert not GlobalHydra.instance().is_initialized()


def test_in_another_thread_it_waits_for_the_lock_and_the_signals_stay_the_caller_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(ab.configure(*SETTINGS), seed=3)
    folder = tmp_path / "runs/single" / config.row / "seed=3"
    folder.mkdir(parents=True)
    before, results = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: results.append(ab.train(config, quiet=True)))
    with lock.hold(folder):
        thread.start()
        time.sleep(2)
        assert thread.is_alive() and not (folder / "metrics.jsonl").exists()
        assert signal.getsignal(signal.SIGINT) is before
    thread.join(200)
    assert [run.record["steps"] for run in results] == [4]


def test_an_interrupt_while_it_waits_is_one_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ab.configure(*SETTINGS)
    folder = tmp_path / "runs/single" / config.row / "seed=0"
    folder.mkdir(parents=True)
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(2, lambda: signal.raise_signal(signal.SIGINT))
    with lock.hold(folder):
        timer.start()
        with pytest.raises(ab.Interrupted, match="works on it; nothing was trained here; train"):
            ab.train(config, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before and not interrupt.stop_requested(tmp_path)


def test_sigterm_ends_a_script_once_its_step_is_kept(tmp_path):
    script = (
        "import ablations as ab\n"
        "ab.train(ab.configure('model=resnet20', 'model.depth=8', 'recipe.batch_size=8', 'recipe.total_steps=100000',"
        "'recipe.evaluate_every=100000', 'checkpoint_seconds=1000', 'data.split=train_val', 'data.train_images=160'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list(tmp_path.rglob("progress.json")):
        assert time.monotonic() < until and process.poll() is None, "timed out"
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM and "Traceback" not in said
    assert list(tmp_path.rglob("checkpoints/[0-9]*"))
