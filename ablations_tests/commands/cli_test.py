"""The command as a user types it: what it prints, what it refuses, and how."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from ablations import cli
from ablations.cli.commands import COMMANDS
from ablations.errors import UserError
from ablations_tests.conftest import COMMAND, ROOT, configure, here


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["train", "model=resnet111"], "model=resnet111: unknown; the nearest are resnet110"),
        (["train", "model=resnet111"], "the nearest valid: 110 and 116"),
        (["train", "model=resnet116"], "For 116 layers: model=resnet110 model.depth=116"),
        (["train", "model.depth=111"], "model.depth=111: a network with basic units is 6n + 2 layers deep"),
        (["train", "shortcut=identty"], "shortcut=identty: unknown; legal are constant_scaling, conv1x1, dropout"),
        (["train", "activation=relu"], "activation=relu: unknown; legal are bn_after_addition, full_preactivation"),
        (["train", "shortcut=exclusive_gating", "shortcut.bias=abc"], "shortcut.bias=abc: Value 'abc' of type 'str' could not be converted to Float"),
        (["train", "shortcut.bias=-6"], "shortcut.bias: there is no such setting with shortcut=identity, but with shortcut=exclusive_gating or "),
        (["train", "shortcut=dropout", "shortcut.rate=1"], "shortcut.rate=1.0: a rate is at least 0 and below 1"),
        (["train", "shortcut.name=dropout"], "choose a shortcut with shortcut=dropout"),
        (["train", "recipe.batch_size=0"], "recipe.batch_size=0: must be at least 1"),
        (["train", "recipe.batch_size=5000", "data=digits"], "the training set of digits has 1437 images"),
        (["train", "recipe.learning_rate=inf"], "recipe.learning_rate=inf: must be a finite number of at least 0"),
        (["plan", "hydra.job.env_set.FOO=bar"], "there is no such setting; a new one is typed with a plus, as +hydra.job.env_set.FOO=bar;"),
        (["train", "recipe.bn_group=7"], "recipe.bn_group=7: must divide recipe.batch_size=32"),
        (["train", "recipe.total_steps=1.5"], "recipe.total_steps=1.5: Value '1.5'"),
        (["train", "data.pad=8"], "data.pad=8: images of digits are 8 pixels wide"),
        (["train", "precision=fp8"], "precision=fp8: legal are f32, bf16"),
        (["train", "matmul_precision=tf32"], "matmul_precision=tf32: legal are default, high, highest"),
        (["train", "seed=-1"], "seed=-1: give either the seeds"),
        (["train", f"seed={2**63}"], f"seed={2**63}: give either the seeds, from 0 to 2^63 - 1"),
        (["train", "seed=x"], "seed=x: give either the seeds"),
        (["train", "seeds=2", "seed=1"], "seeds=2: give either the seeds, from 0 to 2^63 - 1, as seed=0,1,2, or their number, as seeds=3"),
        (["train", "study=table9"], "study=table9: unknown; legal are cardinality, concatenation"),
        (["train", "study=table1", "row=identty"], "row=identty: study table1 has no such row; legal are identity, plain"),
        (["train", "study=table1", "shortcut=dropout"], "row identity of study table1 has shortcut=identity"),
        (["train", "study=table1", "recipe.total_steps=1,2"], "a study takes one value of each setting"),
        (["train", "row=mine"], "rows belong to a study"),
        (["train", "sed=1"], "sed: there is no such setting; the nearest is seed; ablations train --cfg job"),
        (["train", "--sed"], "--sed: unknown option"),
        (["train", "shortcut="], "shortcut="),
        (["train", "a=[1"], "a=[1"),
        (["tran"], "tran: unknown command; legal are plan, bench, train, status, table, critical, figure, report"),
        (["--cfg", "job"], "--cfg: the command comes first; type: ablations train --cfg job"),
        (["--info"], "--info: the command comes first; type: ablations train --info"),
        (["--config-dir", "my d", "plan"], "type: ablations plan --config-dir 'my d'"),
        (["model=resnet20", "seed=1"], "model=resnet20: the command comes first; type: ablations train model=resnet20 seed=1"),
        (["table"], "study=... is missing; runs_dir=runs: there is no such folder; ablations train study=demo makes some"),
        (["table", "study=table1"], "runs_dir=runs: there is no such folder"),
        (["table", "table1"], "table1: settings are key=value"),
        (["export", "run=nowhere", "out=x"], "run=nowhere: there is no finished run in this folder"),
        (["export", "weights=none.safetensors", "out=x"], "none.safetensors: there is no such file"),
        (["probe", "study=table1", "force=maybe"], "force=maybe: legal are true, false"),
        (["lesion", "study=table1", "seed=x"], "seed=x: must be one seed, such as seed=0"),
        (["figure", "run=nowhere", "figure=curves"], "figure run=... takes format=... and out=... only"),
        (["plan", "calibrate=maybe"], "calibrate=maybe: legal are true, false"),
        (["export", "run=nowhere"], "export needs run=RUNS_DIR/STUDY/ROW/seed=K or weights=FILE, and out=FILE"),
    ],
)  # fmt: skip
def test_one_clear_message(arguments, message, tmp_path):
    done = here(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("ablations: ") and done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.rglob("record.json"))


def test_an_unwritable_runs_folder(tmp_path):
    (tmp_path / "file").write_text("")
    done = here("train", "runs_dir=file/runs", cwd=tmp_path)
    assert done.returncode == 2
    assert "file/runs/single/default/seed=0 cannot be made: Not a directory; choose another runs_dir=..." in done.stderr


@pytest.mark.parametrize("command", [[], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_names_what_there_is(command, tmp_path):
    done = here(*command, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    everything = here(*command, "all", cwd=tmp_path).stdout if command else done.stdout
    assert "ablations" in done.stdout and everything.startswith(done.stdout.partition("\n`ablations")[0])
    assert max(map(len, (done.stdout + everything).splitlines())) <= 80
    if command == ["train", "--help"]:
        for word in ("exclusive_gating", "resnet1202", "table1", "runs_dir"):
            assert word in done.stdout
        assert everything.index("resnet20") < everything.index("resnet110") < everything.index("resnet1202")
        for word in ("full_preactivation", "shortcut.bias", "vgg16_bn_cifar", "hydra/launcher"):
            assert word in everything and word not in done.stdout


def test_the_six_settings_of_the_help_are_the_defaults(tmp_path):
    shown = here("train", "--help", cwd=tmp_path).stdout.partition("six settings")[2]
    defaults = dict(re.findall(r"^    (\w+)=(\w+)  ", shown, re.MULTILINE))
    assert list(defaults) == ["model", "shortcut", "data", "recipe", "seed", "study"]
    config = configure()
    for group in ("model", "shortcut", "data", "recipe"):
        assert getattr(config, group).name == defaults[group]
    assert str(config.seed) == defaults["seed"]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["table", "study=table1", "runs_dir=."]])
def test_what_is_asked_often_imports_nothing_slow(arguments, tmp_path):
    slow = ("jax", "flax", "hydra", "wandb", "tensorflow_datasets", "matplotlib", "sklearn", "numpy")
    code = (
        "import sys; from ablations.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"print([m for m in {slow} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "line,choices",
    [
        ("ablations tr", {"train", "table", "export"}),
        ("ablations train shortcut=", {"shortcut=identity", "shortcut=dropout", "shortcut=conv1x1"}),
        ("ablations train model=resnet1", {"model=resnet110", "model=resnet1001", "model=resnet164"}),
        ("ablations train recipe.to", {"recipe.total_steps="}),
        ("ablations train shortcut=exclusive_gating shortcut.b", {"shortcut.bias="}),
    ],
)
def test_bash_completion(line, choices, tmp_path, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line), monkeypatch.setenv("COMP_POINT", str(len(line)))
    done = here("-sc", "query=bash", cwd=tmp_path)
    assert choices <= set(done.stdout.split()), done.stdout
    assert "schema" not in done.stdout


def test_completion_in_a_real_bash(tmp_path):
    """Source the code and ask bash's own machinery for one word."""
    (tmp_path / "ablations").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (tmp_path / "ablations").chmod(0o755)
    script = """
        export PATH="$PWD:$PATH"
        eval "$(ablations completion)"
        COMP_LINE="ablations train shortcut=exclusive" COMP_POINT=34 COMP_WORDS=(ablations train shortcut=exclusive) COMP_CWORD=2
        _ablations; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout.split() == ["shortcut=exclusive_gating"], done.stderr


def test_cfg_prints_every_setting(tmp_path):
    done = here("train", "--cfg", "job", "shortcut=dropout", "shortcut.rate=0.3", cwd=tmp_path)
    assert "rate: 0.3" in done.stdout and "total_steps: 880" in done.stdout and "hydra" not in done.stdout


def test_export(finished):
    cwd, run = finished
    (cwd / "text.safetensors").write_text("no weights")
    done = here("export", "weights=text.safetensors", "out=weights.safetensors", cwd=cwd)
    assert done.returncode == 2 and "text.safetensors is damaged" in done.stderr
    done = here("export", f"run={run}", "out=weights.safetensors", cwd=cwd)
    assert done.returncode == 0, done.stderr
    from safetensors import safe_open

    with safe_open(cwd / "weights.safetensors", "numpy") as file:
        names = set(file.keys())
        assert json.loads(file.metadata()["ablations"])["config"]["model"]["name"] == "vgg110_digits"
        assert file.get_tensor("stages.0.units.0.convolutions.0.weight").shape == (8, 8, 3, 3)
        assert file.get_tensor("head.weight").shape == (10, 8)
    assert {"stem.weight", "stages.0.units.0.activations.0.bn.running_var", "normalization.mean"} <= names
    assert not any("key" in name or "count" in name for name in names)


@pytest.mark.parametrize("command, word", [("bench", "pixels"), ("plan", "calibrate"), ("status", "format")])
def test_a_word_without_a_value_is_one_message(command, word):
    with pytest.raises(UserError, match=f"^{word}: ") as error:
        cli.dispatch(command, [word])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arguments", ["--help", "table --help", "table study=table1 runs_dir=results/digits"])
def test_output_that_cannot_be_written_is_one_message(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *arguments.split()], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    expected = "ablations: what was to be printed cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


@pytest.mark.parametrize("arguments", ["--help", "table study=table1 runs_dir=results/digits"])
def test_a_reader_that_goes_ends_the_command_as_a_signal_would(arguments):
    """Not with 0, as if all had been done, nor with a code that means something else."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *arguments.split()], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    "word,meant",
    [("recipe.learning_rate=0,05", "0.05"), ("recipe.learning_rate=0,1", "0.1"), ("model.width=1,05", "1.05")],
)
def test_a_decimal_comma_is_no_sweep(word, meant, tmp_path):
    done = here("plan", word, "calibrate=false", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.endswith(f"type {word.partition('=')[0]}={meant}\n"), done.stderr


def test_two_values_of_what_decides_no_result_are_one_message(tmp_path):
    done = here("train", "logger=none,tensorboard", cwd=tmp_path)
    assert done.returncode == 2 and "logger=tensorboard and logger=none would both be runs/single/" in done.stderr
    assert not (tmp_path / "runs").exists()
