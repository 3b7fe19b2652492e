"""How far runs are, from files alone; SLURM's part is in slurm_test.py."""

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest

from ablations.cli.status import look
from ablations.errors import UserError
from ablations.launch import status
from ablations.launch.slurm import queue
from ablations.launch.status_table import cells, notes
from ablations.runs import submitted
from ablations.runs.record import write_record
from ablations.runs.submitted import Submission
from ablations.system import lock
from ablations.system.files import write_whole
from ablations_tests.commands.train_test import wait_for
from ablations_tests.conftest import BLANK, FEW_IMAGES, ONE_UNIT, ablations, configure, here

SUBMISSION = {"time": "2026-01-01T00:00:00", "host": "login1", "command": "ablations train study=table1"}


def run_folder(tmp_path, row, seed):
    folder = tmp_path / "runs" / "table1" / row / f"seed={seed}"
    folder.mkdir(parents=True)
    return folder


def record(folder, wall_seconds):
    config = configure("model=resnet20").resolved()
    one = {"status": "done", "test_error_percent": 4.0, "steps": 440, "wall_seconds": wall_seconds, "config": config}
    write_record(folder, BLANK | one)


def test_every_state_is_seen_in_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)  # no squeue
    for seed, seconds in enumerate((100.0, 300.0)):
        record(run_folder(tmp_path, "plain", seed), seconds)
    running = run_folder(tmp_path, "identity", 0)
    write_whole(running / "progress.json", json.dumps({"step": 110, "total_steps": 440, "seconds_left": 90.0}))
    failed = run_folder(tmp_path, "identity", 1)
    (failed / "failure.txt").write_text("Traceback\n  in detail\nValueError: so it is\n")
    run_folder(tmp_path, "identity", 2)
    of_study = tmp_path / "runs" / "table1"
    submitted.add(of_study, Submission("slurm", logs="runs/.submitit/%j", jobs={"dropout/seed=0": "7_0"}, **SUBMISSION))
    log = of_study / "detached.log"
    with lock.hold(running), open(log, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        submitted.add(of_study, Submission("process", logs=str(log), jobs={"conv1x1/seed=0": ""}, **SUBMISSION))
        found = status.of_folder(of_study)
    states = {(run.row, run.seed): run.state for run in found.runs}
    assert states == {
        ("identity", 0): "running",
        ("identity", 1): "failed",
        ("identity", 2): "missing",
        ("plain", 0): "done",
        ("plain", 1): "done",
        ("conv1x1", 0): "waiting",
        ("dropout", 0): "waiting",
    }
    assert [run.row for run in found.runs][3:] == ["plain", "plain", "conv1x1", "dropout"], "the study's order"
    told = {run.row: run.note for run in found.runs if run.seed == 1 or run.row in ("dropout", "conv1x1")}
    assert told["identity"] == "ValueError: so it is" and "squeue does not answer" in told["dropout"]
    assert status.of_folder(of_study).count("waiting") == 1, "the process is gone, and what it had not begun is missing"
    assert found.runs[0].whole_seconds == 120, "a quarter is done, three take 90 s"
    # One runs: 90 s; the failed and the missing one of its row 120 s each; the others the study's median, 120 s.
    assert found.seconds_left(found.runs) == 90 + 120 + 120 + 120 + 120
    line = next(line for line in cells(found) if line["row"] == "identity")
    assert (line["running"], line["failed"], line["missing"], line["time left"]) == ("1", "1", "1", "6 min")
    assert "step 110/440" in line["runs now"] and os.uname().nodename in line["runs now"]
    assert any("identity seed=1: ValueError: so it is" in note for note in notes(found))


def test_as_many_at_a_time_as_run_now():
    runs = [status.Run("a", seed, "running", 1, 2, 20.0, 10.0) for seed in range(2)]
    runs += [status.Run("a", seed, "waiting") for seed in range(2, 5)]
    found = status.Status("table1", None, tuple(runs))
    assert found.seconds_left(found.runs) == 10 + 20 + 20


@pytest.mark.parametrize("settings,code", [((), 3), (("study=table1", "data=digits", "row=plain", "seeds=2"), 0)])
def test_the_command(settings, code, tmp_path):
    """In a process that may not import JAX."""
    for seed in range(2):
        record(run_folder(tmp_path, "plain", seed), 100.0)
    run_folder(tmp_path, "dropout", 0)
    program = "import sys; sys.modules['jax'] = None; from ablations.cli import main; main()"
    command = [sys.executable, "-c", program, "status", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert "plain" in done.stdout and ("dropout" in done.stdout) == (code == 3)


def test_what_status_refuses(tmp_path):
    for line, message in (
        ([], "runs: there are no runs"),
        (["study=table1"], "runs/table1: there are no runs"),
        (["format=csv"], "format=csv: legal are terminal, markdown, json"),
        (["table1"], "table1: settings are key=value"),
    ):
        done = here("status", *line, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    (tmp_path / "runs" / "table1" / "plain" / "seed=0").mkdir(parents=True)
    (tmp_path / "runs" / "table1" / "submitted.json").write_text("{")
    done = here("status", cwd=tmp_path)
    assert done.returncode == 2 and "submitted.json is damaged" in done.stderr


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    """As Lustre answers where it is not mounted with -o flock."""

    def refused(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    for held in (lock.hold(tmp_path), lock.locked(tmp_path / "one", waiting=lambda: None)):
        with pytest.raises(UserError, match="has no locks .Function not implemented.*another runs_dir"), held:
            pass


def test_a_look_at_a_run_is_no_work_on_it(tmp_path, monkeypatch):
    with open(tmp_path / "lock", "w") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        monkeypatch.setattr(lock.time, "sleep", lambda _: looks.close())
        with lock.hold(tmp_path) as ours:
            assert ours


def test_what_a_killed_process_or_a_full_disk_leaves(tmp_path):
    of_study = tmp_path / "runs" / "v1.0"
    done, failed = of_study / "plain" / "seed=0", of_study / "plain" / "seed=1"
    for folder in (done, failed):
        folder.mkdir(parents=True)
    record(done, 100.0)
    (done / "progress.json").write_text("{}")
    (failed / "failure.txt").touch()
    [found] = look(["study=v1.0", f"runs_dir={tmp_path / 'runs'}"])
    assert [run.state for run in found.runs] == ["done", "failed"]
    assert "left the queue without a record" in found.runs[1].note
    with lock.hold(done):
        assert status.of_folder(of_study).count("running") == 1, "force=true trains another one in its place"
    assert look(["study=sweeps/v1.0.yaml", f"runs_dir={tmp_path / 'runs'}"])


def test_only_jobs_of_this_command_are_to_be_cancelled():
    jobs = {"a/seed=0": "100_0", "a/seed=1": "100_1", "b/seed=0": "101"}
    of = Submission("slurm", logs="", jobs=jobs, **SUBMISSION)
    assert queue._to_cancel(jobs, [of]) == ["100", "101"]
    assert queue._to_cancel({"a/seed=1": "100_1", "b/seed=0": "101"}, [of]) == ["100_1", "101"]


def test_a_job_waits_for_the_lock_of_a_host_that_is_lost(tmp_path):
    program = "import sys, time; from pathlib import Path; from ablations.system import lock\n"
    program += "with lock.hold(Path(sys.argv[1])): print('has it', flush=True); time.sleep(1)"
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "has it\n"
    with lock.hold(tmp_path) as ours:
        assert not ours
    with lock.hold(tmp_path, patience_seconds=30) as ours:
        assert ours
    other.communicate()


def test_a_detached_command_goes_on_by_itself(tmp_path):
    line = ("train", *ONE_UNIT, *FEW_IMAGES, "recipe.total_steps=6")
    done = ablations(*line, "--detach", cwd=tmp_path)
    assert done.returncode == 0 and "which goes on by itself" in done.stdout, done.stderr
    assert not list(tmp_path.rglob("record.json"))
    shown = here("status", "format=json", cwd=tmp_path)
    assert {run["state"] for run in json.loads(shown.stdout)[0]["runs"]} <= {"waiting", "running"}
    (log,) = tmp_path.glob("runs/single/detached-*.log")
    wait_for(lambda: not lock.is_held(log))
    assert len(list(tmp_path.rglob("record.json"))) == 1, log.read_text()
    assert here("status", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("choice,extra", [("slurm", "slurm"), ("slurm_multinode", "slurm"), ("ray", "ray")])
def test_a_missing_extra_is_named(choice, extra, tmp_path, monkeypatch):
    """As if the plugin were not installed."""
    plugin = f"hydra_plugins.hydra_{'ray' if extra == 'ray' else 'submitit'}_launcher"
    monkeypatch.setitem(sys.modules, plugin, None)
    done = here("train", f"hydra/launcher={choice}", cwd=tmp_path)
    assert done.returncode == 2
    assert f"hydra/launcher={choice} needs an extra: pip install 'ablations[{extra}]'" in done.stderr.splitlines()[-1]
