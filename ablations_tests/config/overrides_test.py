"""What a command's overrides can mean, and what is said of those that can mean nothing."""

import shlex
import sys

import pytest

from ablations.config import compose, jobs, searchpath
from ablations.errors import UserError
from ablations_tests.conftest import configure, here


def refusal(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ablations", "train", *words])
    with compose.hydra() as context, pytest.raises(UserError) as error:
        jobs.plan(context, list(words))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "word,message",
    [
        ("~recipe", "every run has one recipe"),
        ("~logger", "or choose logger=none"),
        ("~seed", "a setting cannot be removed"),
        ("shortcut={}", "a run has exactly one shortcut; legal are constant_scaling"),
        ("recipe=null", "a run has exactly one recipe"),
        ("shortcut=3", "shortcut=3: a run has exactly one shortcut; legal are constant_scaling"),
        ("shortcut=true", "a run has exactly one shortcut"),
        ("shortcut=range(3)", "a run has exactly one shortcut"),
        ("shortcut=identity,3", "a run has exactly one shortcut"),
        ("recipe=3", "a run has exactly one recipe; legal are digits"),
        ("hydra/launcher=3", "a run has exactly one hydra/launcher; legal are basic"),
        ("shortcut=interval(0.01,0.1)", "To search among several: 'shortcut=choice(constant_scaling,...)'; legal are"),
        ("shortcut=[identity,dropout]", "for one run with each: shortcut=identity,dropout"),
        ("shortcut=glob(x*)", "matches nothing; legal are constant_scaling"),
        ("recipe.total_steps=glob(x*)", "chooses among the files of a group"),
        ("seed=range(3,1)", "matches nothing"),
        ("runs_dir=", "runs_dir= has no value"),
        ("model=", "model= has no value"),
        ("study=table1,table2", "give one study"),
        ("seeds=1000000000", "1,000,000,000 runs"),
        ("=3", "the name of a setting is missing"),
        ("recipe.drop_fractions=0.5,0.75", "type: ablations train 'recipe.drop_fractions=[0.5,0.75]'"),
        ("++recipe=paper", "++recipe=paper: a choice is not added twice; type recipe=paper"),
        ("seed=foo(3)", "seed=foo(3): Hydra has no function foo; legal are int, str,"),
        ("recipe.drop_fractions=extend_list(0.95)", "Hydra has no function extend_list; legal are"),
        ("hydra.run.dir=x", "choose runs_dir=..."),
        ("hydra.sweep.dir=x", "choose runs_dir=..."),
        (
            "hydra.verbose=true",
            "hydra.verbose=true: a run keeps no log of Hydra's, so this would show nothing; leave it out",
        ),
        ("hydra.job.chdir=true", "hydra.job.chdir=true: runs do not change the working folder"),
        ("hydra.nothing=1", "--cfg hydra prints all"),
        ("recipe/total_steps=3", "the nearest is recipe.total_steps"),
        ("runs_dir=${nowhere}", "runs_dir: Interpolation key 'nowhere' not found"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(word, message, monkeypatch):
    assert message in refusal(monkeypatch, word)


@pytest.mark.parametrize("value", ["a=b", "[a", "a (1)", "{x}", "é", "a,b", "it's, he said", 'a "b", c', "a#b=c"])
def test_the_corrected_command_means_the_text(value, monkeypatch):
    message = refusal(monkeypatch, f"runs_dir={value}", "seed=3")
    _, train, *words = shlex.split("ablations train" + message.partition("ablations train")[2])
    with compose.hydra() as context:
        [job] = jobs.plan(context, words)
    assert (job.config.runs_dir, job.config.seed) == (value, 3)


@pytest.mark.parametrize(
    "words,choices",
    [
        (["shortcut.bias=-6"], "but with shortcut=exclusive_gating or shortcut=shortcut_only_gating"),
        (["shortcut=dropout,identity", "shortcut.rate=0.5"], "with shortcut=identity, but with shortcut=dropout"),
        (["logger.mode=offline"], "but with logger=wandb"),
        (["distributed.coordinator=a"], "but with distributed=manual"),
        (["model.growth=12"], "but with model=densenet"),
    ],
)
def test_a_setting_of_another_choice_names_the_choices_that_have_it(words, choices, monkeypatch):
    assert choices in refusal(monkeypatch, *words)


def test_quotes_are_no_part_of_a_study_a_row_or_a_seed():
    with compose.hydra() as context:
        [job] = jobs.plan(context, ['study="demo"', "row='my own'", "shortcut=identity", 'seed="1"'])
    assert (job.config.study, job.config.row, job.config.seed) == ("demo", "my own", 1)


@pytest.mark.parametrize("row", ["a/b", "'a,b'", "../x", ".x"])
def test_a_row_s_name_is_one_folder(row, monkeypatch):
    assert "is a folder, too" in refusal(monkeypatch, "study=demo", f"row={row}", "shortcut=identity")


@pytest.fixture
def conf(tmp_path, forgotten):
    (tmp_path / "experiment").mkdir()
    fast = "# @package _global_\ndefaults: [override /shortcut: dropout]\nrecipe: {total_steps: 2}\n"
    (tmp_path / "experiment/fast.yaml").write_text(fast)
    (tmp_path / "mine.yaml").write_text("defaults: [config, override recipe: short, _self_]\nseed: 5\n")
    (tmp_path / "selfless.yaml").write_text("defaults: [config]\nseed: 6\n")
    (tmp_path / "bare.yaml").write_text("recipe: {total_steps: 2}\n")
    (tmp_path / "out.yaml").write_text("defaults: [config, _self_]\nhydra: {run: {dir: elsewhere}}\n")
    searchpath.add(str(tmp_path), "--config-dir")
    return tmp_path


def test_a_group_of_one_s_own_is_added_and_names_the_run(conf, monkeypatch):
    with compose.hydra() as context:
        [job] = jobs.plan(context, ["+experiment=fast", "recipe.batch_size=8"])
    config = job.config
    assert (config.shortcut.name, config.recipe.total_steps, config.recipe.batch_size) == ("dropout", 2, 8)
    assert config.row == "experiment=fast,recipe.batch_size=8"
    assert "type +experiment=fast" in refusal(monkeypatch, "experiment=fast")
    (conf / "experiment/full.yaml").write_text("# @package _global_\nseeds: 2\n")
    assert refusal(monkeypatch, "experiment=full,fast").endswith("type +experiment=full,fast")
    assert refusal(monkeypatch, "+experiment=[full,fast]").endswith("for one run with each: +experiment=full,fast")
    assert refusal(monkeypatch, "++experiment=fast").endswith("type +experiment=fast")
    assert "experiment=slow: unknown; legal are fast" in refusal(monkeypatch, "+experiment=slow")


def test_a_configuration_of_one_s_own_is_where_runs_begin(conf, monkeypatch):
    searchpath.choose("mine.yaml")
    with compose.hydra() as context:
        [job] = jobs.plan(context, ["study=demo", "row=identity_20", "recipe=short", "seed=0"])
        [other] = jobs.plan(context, ["recipe=digits", "seed=5"])
    assert job.config.row == "identity_20,config=mine"
    assert (other.config.recipe.name, other.config.row) == ("digits", "config=mine,recipe=digits")
    assert configure().recipe.name == "short" and configure().seed == 5
    searchpath.choose("selfless")
    assert configure().seed == 6, "without a warning"
    searchpath.choose("bare")
    assert "must begin with the project's: defaults: [config, _self_]" in refusal(monkeypatch)
    searchpath.choose("out")
    assert "hydra.run.dir=elsewhere: " in refusal(monkeypatch)
    searchpath.choose("nowhere")
    assert "--config-name nowhere: there is no nowhere.yaml" in refusal(monkeypatch)


def test_nothing_is_written_for_what_is_refused(tmp_path):
    assert here("train", "runs_dir=", cwd=tmp_path).returncode == 2
    assert here("train", "hydra.sweep.dir=x", cwd=tmp_path).returncode == 2
    assert not list(tmp_path.iterdir())
