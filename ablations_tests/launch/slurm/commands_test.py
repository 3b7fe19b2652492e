"""A study in SLURM's queue: stand-ins for its commands, which start the real processes."""

import json
import signal
import subprocess

import pytest

from ablations.runs.record import read_metrics, read_record
from ablations.training.loop import train
from ablations_tests import slurm_commands
from ablations_tests.commands.train_test import wait_for
from ablations_tests.conftest import COMMAND, FEW_IMAGES, ablations, configure, here

TINY = ("model=resnet20", "model.depth=8", *FEW_IMAGES, "recipe.total_steps=300", "recipe.evaluate_every=64")
TINY += ("checkpoint_seconds=0.3",)
QUEUED = ("train", *TINY, "hydra/launcher=slurm")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The folder of the stand-ins, which are on PATH; no process of theirs is left behind."""
    for name, value in slurm_commands.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    yield tmp_path / "slurm"
    for number, job in slurm_commands.jobs().items():
        if job["state"] not in slurm_commands.OVER:
            slurm_commands.scancel(number)
    (tmp_path / "slurm" / "hold").unlink(missing_ok=True)
    wait_for(lambda: all(job["state"] in slurm_commands.OVER for job in slurm_commands.jobs().values()))


def status(cwd, *settings):
    done = here("status", "format=json", *settings, cwd=cwd)
    return done.returncode, {run["seed"]: run for study in json.loads(done.stdout) for run in study["runs"]}


def test_what_is_queued_is_not_submitted_again(slurm, tmp_path):
    (slurm / "hold").touch()  # nothing starts
    first = ablations(*QUEUED, "seed=0,1,2,3", "--detach", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "3 runs are submitted as 100" in first.stdout and "1 run is submitted as 101" in first.stdout
    for told in (
        "cancel them: scancel 100 101",
        "ablations status study=single",
        ".submitit/100_*",
        str(tmp_path / "runs"),
    ):
        assert told in first.stdout
    code, runs = status(tmp_path)
    assert code == 3 and [run["state"] for run in runs.values()] == ["waiting"] * 4
    assert runs[3]["note"] == "job 101: Priority"

    second = ablations(*QUEUED, "seed=0,1,2,3,4", "--detach", cwd=tmp_path)
    assert "4 runs are queued already, as 100, 101" in second.stdout and "1 run is submitted as 102" in second.stdout
    assert sorted(slurm_commands.jobs()) == ["100_0", "100_1", "100_2", "101", "102"]

    subprocess.run(["scancel", "100", "101"], check=True)
    (slurm / "bin" / "sacct").unlink()  # a cluster that keeps no account
    code, runs = status(tmp_path, "study=single")
    assert code == 1 and [runs[seed]["state"] for seed in range(5)] == ["failed"] * 4 + ["waiting"]
    assert "left the queue without a record" in runs[0]["note"]
    third = ablations(*QUEUED, "seed=0,4", "--detach", cwd=tmp_path)
    assert "1 run is queued already, as 102" in third.stdout and "1 run is submitted as 103" in third.stdout


def test_what_slurm_refuses_is_said_in_its_words(slurm, tmp_path):
    refused = ablations(*QUEUED, "hydra.launcher.comment=refuse", cwd=tmp_path)
    assert refused.returncode == 2 and "SLURM does not accept the jobs" in refused.stderr
    assert "Invalid account" in refused.stderr and "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("submitted.json"))
    (slurm / "bin" / "sbatch").unlink()
    elsewhere = ablations(*QUEUED, cwd=tmp_path)
    assert elsewhere.returncode == 2 and "there is no sbatch on this machine" in elsewhere.stderr


def steps_kept(folder):
    return [int(place.name) for place in folder.glob("checkpoints/[0-9]*") if place.name.isdigit()]


def test_a_stopped_job_is_queued_again_and_goes_on_to_the_same_bits(slurm, tmp_path):
    """By USR2 before its time limit, by TERM as a warning, by the death of its node; beside it a job that is killed."""
    whole = tmp_path / "whole"
    whole.mkdir()
    train(configure(*TINY[:-1]), whole, quiet=True)
    command = subprocess.Popen([*COMMAND, *QUEUED, "seed=0,1"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("runs/single/*/seed=*/progress.json"))) == 2)
    (row,) = tmp_path.glob("runs/single/*/")
    subprocess.run(["scancel", "--signal=KILL", "100_1"], check=True)
    for restarts, stop in enumerate(("USR2", "TERM", "node"), 1):
        code, runs = status(tmp_path)
        assert runs[0]["state"] == "running" and runs[0]["step"] > 0 and code in (1, 3)
        before = max(steps_kept(row / "seed=0"), default=0)
        if stop == "node":
            wait_for(lambda: steps_kept(row / "seed=0"))
            slurm_commands.lose_node("100_0")
        else:
            subprocess.run(["scancel", f"--signal={stop}", "100_0"], check=True)
        wait_for(lambda restarts=restarts: slurm_commands.job("100_0")["restarts"] == restarts)
        assert max(steps_kept(row / "seed=0")) >= before
        assert not read_record(row / "seed=0"), "it was stopped before its end"
        wait_for(lambda: (row / "seed=0" / "progress.json").exists() and slurm_commands.job("100_0")["processes"])
    _, errors = command.communicate(timeout=120)
    assert command.returncode == 2 and "seed=1: left the queue without a record (FAILED)" in errors
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (row / "seed=0" / name).read_bytes() == (whole / name).read_bytes(), name
    assert "hydra/launcher=slurm seed=0,1" in read_record(row / "seed=0")["command"]
    log = "".join(path.read_text() for path in tmp_path.glob("runs/.submitit/100_0/*.err"))
    assert log.count("goes on from step") == 3 and log.count("which is kept in") == 2


def test_who_waits_may_leave_and_the_jobs_go_on(slurm, tmp_path):
    command = subprocess.Popen(
        [*COMMAND, *QUEUED, "recipe.total_steps=3000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: list(tmp_path.glob("runs/single/*/seed=0/progress.json")))
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130 and "the jobs go on" in errors and "scancel 100" in errors
    assert slurm_commands.job("100")["state"] == "RUNNING"
    subprocess.run(["scancel", "100"], check=True)
    wait_for(lambda: slurm_commands.job("100")["state"] == "CANCELLED")
    code, runs = status(tmp_path)
    assert code == 1 and runs[0]["state"] == "failed" and "CANCELLED" in runs[0]["note"]
    assert runs[0]["step"] > 0, "what was done when it was cancelled is kept"
    assert read_metrics(next(tmp_path.glob("runs/single/*/seed=0"))) is not None


def test_a_run_over_several_hosts_is_queued_again_as_one(slurm, tmp_path):
    """Two tasks of one job, which are two processes of one run; one record and one log of evaluations."""
    line = (*QUEUED[:-1], "recipe.total_steps=30", "hydra/launcher=slurm_multinode", "--detach")
    assert ablations(*line, cwd=tmp_path).returncode == 0
    wait_for(lambda: list(tmp_path.glob("runs/single/*/seed=0/progress.json")))
    subprocess.run(["scancel", "--signal=USR2", "100"], check=True)
    wait_for(lambda: slurm_commands.job("100")["restarts"] == 1)
    wait_for(lambda: slurm_commands.job("100")["state"] in slurm_commands.OVER)
    log = "".join(path.read_text() for path in sorted(tmp_path.glob("runs/.submitit/100/*.err")))
    assert slurm_commands.job("100")["state"] == "COMPLETED", log
    folder = next(tmp_path.glob("runs/single/*/seed=0"))
    record = read_record(folder)
    assert (record["status"], record["processes"], record["devices"]) == ("done", 2, 2)
    assert log.count("goes on from step") == 1 and len(read_metrics(folder)) == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "lock",
        "metrics.jsonl",
        "record.json",
        "weights.safetensors",
    ]
