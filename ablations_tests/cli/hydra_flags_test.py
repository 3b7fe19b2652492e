"""Hydra's flags do in our commands what they do in Hydra's, or are refused with the reason."""

import logging

import pytest
import yaml

from ablations_tests.conftest import ablations, configure, here


def shown(*words, cwd):
    done = here(*words, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert not list(cwd.iterdir())
    return done.stdout


def test_the_configuration_that_is_shown_is_that_of_the_run(tmp_path):
    job = yaml.safe_load(shown("train", "shortcut=dropout", "--cfg", "job", "seed=7", cwd=tmp_path))
    assert job["shortcut"]["rate"] == 0.5 and job["seed"] == 7 and job["row"] == "shortcut=dropout"
    row = yaml.safe_load(shown("train", "-c", "all", "study=table1", "row=conv1x1", "seed=2", cwd=tmp_path))
    assert (row["shortcut"]["name"], row["study"], row["hydra"]["sweep"]["dir"]) == ("conv1x1", "table1", "${runs_dir}")
    assert set(yaml.safe_load(shown("train", "--cfg", "hydra", "seeds=3", cwd=tmp_path))) == {"hydra"}


@pytest.mark.parametrize(
    "line,text",
    [
        ("train --cfg all --resolve --package hydra.sweep", "# @package hydra.sweep\ndir: runs\n"),
        ("plan calibrate=false -c job -p model.name model=resnet20", "resnet20\n"),
        ("bench pixels=32 -c job -p model.depth", "110\n"),
        ("status -c job -p seed", "0\n"),
        ("data prepare data=cifar10 -c job -p data.name", "cifar10\n"),
        ("train --version", "Hydra 1."),
    ],
)
def test_what_is_printed(line, text, tmp_path):
    assert shown(*line.split(), cwd=tmp_path).startswith(text)


def test_what_a_run_refuses_is_shown_and_then_refused(tmp_path):
    done = here("train", "--cfg", "job", "shortcut=dropout", "shortcut.rate=3", cwd=tmp_path)
    assert done.returncode == 2 and "rate: 3.0" in done.stdout
    assert (
        done.stderr == "ablations: a run refuses what is shown: shortcut.rate=3.0: a rate is at least 0 and below 1\n"
    )


@pytest.mark.parametrize(
    "line,message",
    [
        ("train --cfg job study=table1", "--cfg and --info show one run, but these settings are 80"),
        ("train --cfg job seed=-1", "seed=-1: give either the seeds"),
        ("train --cfg recipe", "invalid choice: 'recipe'"),
        ("train --cfg hydra --resolve", "type --cfg all --resolve --package hydra"),
        ("train --resolve", "--resolve belongs to --cfg"),
        ("train --cfg job --sed", "--sed: no option beside --cfg"),
        ("train --config-path x", "add a folder with --config-dir DIR"),
        ("train --experimental-rerun x", "type the command again"),
        ("train --cfg job --package nosuch", "--package nosuch: there is no such setting, or it is null; leave"),
        (
            "train --cfg job -p recipe.total_steps recipe.total_steps=${model.dpth}",
            "recipe.total_steps: Interpolation key 'model.dpth'",
        ),
        ("train --cfg job +recipe=paper", "+recipe=paper: every run has a choice of recipe; type recipe=paper"),
        ("train hydra.mode=RUN seeds=2", "hydra.mode=RUN is for one run, but these settings are 2"),
        ("train --run seeds=2", "--run is for one run, but these settings are 2"),
        ("train --run --multirun", "choose one of them"),
        ("train --config-name", "a name is missing, such as --config-name mine"),
        ("table study=demo --config-name x", "table composes no runs"),
        ("train -sc install=bash seed=3", "seed=3: nothing may stand beside -sc; type ablations -sc install=bash"),
        ("train seed=3 -sc install=bash", "seed=3: nothing may stand beside -sc; type ablations -sc install=bash"),
        ("train --shell-completion install=tcsh", "completion is for bash, zsh, fish"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(line, message, tmp_path, forgotten):
    done = here(*line.split(), cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line,text",
    [
        ("--info plugins", "JoblibLauncher"),
        ("--info searchpath", "pkg://ablations.conf"),
        ("--info defaults shortcut=dropout", "shortcut/dropout"),
        ("--info defaults-tree", "shortcut: identity"),
        ("--info config seed=4", "\nseed: 4\n"),
    ],
)
def test_what_hydra_says_of_itself(line, text, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    assert text in shown("train", *line.split(), cwd=tmp_path)


def test_hydras_own_help(tmp_path):
    """In a process of its own: Hydra then sets up logging, which closes pytest's handlers."""
    done = ablations("train", "--hydra-help", cwd=tmp_path)
    assert done.returncode == 0 and "== Flags ==" in done.stdout, done.stderr


def test_a_configuration_of_one_s_own_is_shown(tmp_path, forgotten):
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "mine.yaml").write_text("defaults: [config, _self_]\nseed: 5\nmodel: {depth: 8}\n")
    done = here("train", "--config-dir", "conf", "-cn", "mine", "--cfg", "job", cwd=tmp_path)
    settings = yaml.safe_load(done.stdout)
    assert (settings["model"]["depth"], settings["row"]) == (8, "config=mine")
    assert configure().seed == 5, "also in what is composed afterwards"
