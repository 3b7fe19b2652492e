"""What a command says of a folder of runs before anything is chosen."""

import shutil

import pytest

from ablations_tests.conftest import ROOT, here

TABLE1 = ROOT / "results" / "digits" / "table1"


@pytest.mark.parametrize("command", [["table"], ["table", "study=single"], ["report"]])
def test_without_runs_the_message_says_what_to_type(command, tmp_path):
    done = here(*command, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
    assert "runs_dir=runs: there is no such folder; ablations train study=demo makes some" in done.stderr
    (tmp_path / "runs").mkdir()
    assert "runs has no runs; ablations train study=demo makes some" in here(*command, cwd=tmp_path).stderr


def test_with_runs_it_says_which_there_are(tmp_path):
    shutil.copytree(TABLE1 / "identity", tmp_path / "mine" / "table1" / "identity")
    shutil.copytree(TABLE1 / "dropout" / "seed=0", tmp_path / "mine" / "single" / "shortcut=dropout" / "seed=0")
    done = here("table", "runs_dir=mine", cwd=tmp_path)
    runs = len(list((TABLE1 / "identity").iterdir()))
    assert done.stderr == (
        f"ablations: study=... is missing; mine has single (1 run), table1 ({runs} runs); type ablations table "
        "study=single runs_dir=mine\n"
    )
    empty = here("table", "study=table2", "runs_dir=mine", cwd=tmp_path)
    assert empty.returncode == 0 and "not run" in empty.stdout
    assert empty.stderr == (
        "ablations: table2: nothing is run yet in mine; ablations train study=table2 trains its rows\n"
    )


def test_runs_of_no_study_have_as_many_tables_as_may_not_be_mixed(tmp_path):
    for name, place in (("identity", "default"), ("dropout", "shortcut=dropout")):
        shutil.copytree(TABLE1 / name / "seed=0", tmp_path / "runs" / "single" / place / "seed=0")
    path = tmp_path / "runs" / "single" / "shortcut=dropout" / "seed=0" / "record.json"
    assert here("table", "study=single", cwd=tmp_path).stdout.count("on shortcut") == 1
    path.write_text(path.read_text().replace('"total_steps": 880', '"total_steps": 1760'))
    done = here("table", "study=single", cwd=tmp_path)
    assert done.stdout.count("on shortcut") == 2 and "1,760 steps" in done.stdout and not done.stderr


@pytest.mark.parametrize("command", ["table study=table1", "figure study=table1", "report"])
@pytest.mark.parametrize(
    "setting,message",
    [
        ("recipe=digits,paper", "recipe=digits,paper: give one value; the runs have digits"),
        ("recipe.total_steps=1,2", "recipe.total_steps=1,2: give one value; the runs have 880"),
        ("recipe=nosuch", "recipe=nosuch: no run has that; they have digits"),
        ("shortcut=dropuot", "shortcut=dropuot: no run has that; they have identity"),
    ],
)
def test_a_value_that_no_run_can_have_is_refused(command, setting, message, tmp_path):
    shutil.copytree(TABLE1 / "identity" / "seed=0", tmp_path / "runs" / "table1" / "identity" / "seed=0")
    done = here(*command.split(), setting, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ablations: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_choice_that_no_run_has_yet_is_no_mistake(tmp_path):
    for study, name in (("table1", "identity"), ("single", "default")):
        shutil.copytree(TABLE1 / "identity" / "seed=0", tmp_path / "runs" / study / name / "seed=0")
        done = here("table", f"study={study}", "recipe=paper", cwd=tmp_path)
        what = "leave some out" if study == "single" else "ablations train study=table1 trains its rows"
        assert done.returncode == 0
        assert done.stderr == f"ablations: {study}: all runs have other settings; {what}\n"


def test_runs_of_no_study_have_curves(tmp_path):
    message = "study=single: runs_dir=runs: there is no such folder; ablations train study=demo makes some"
    assert message in here("figure", "study=single", cwd=tmp_path).stderr
    for name, place in (("identity", "default"), ("dropout", "shortcut=dropout,shortcut.rate=0.5")):
        shutil.copytree(TABLE1 / name / "seed=0", tmp_path / "runs" / "single" / place / "seed=0")
    refused = here("figure", "study=single", "recipe=paper", cwd=tmp_path)
    assert refused.stderr == "ablations: study=single: all runs have other settings; leave some out\n"
    assert refused.returncode == 2 and [path.name for path in tmp_path.iterdir()] == ["runs"]
    done = here("figure", "study=single", "shortcut=dropout", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("wrote single-curves.svg\n", "")
    drawn = (tmp_path / "single-curves.svg").read_text()
    assert "<title>Training<" in drawn and drawn.count('<g id="line2d') > 0


@pytest.mark.parametrize("command", ["train", "plan", "critical", "probe", "lesion", "dashboard"])
def test_what_needs_a_study_says_that_single_is_none(command, tmp_path):
    done = here(command, "study=single", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and "study=single: no study, but the runs of none" in done.stderr
