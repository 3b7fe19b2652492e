"""Several processes: real ones on loopback, which stop together, end when one is killed, and go on as fewer or more."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ablations.config.distributed import Slurm
from ablations.errors import UserError
from ablations.launch import launcher, packing, peers
from ablations.runs.folder import RunFolder
from ablations.runs.record import read_metrics, read_record
from ablations.system import interrupt, machine
from ablations.training.loop import train
from ablations_tests.conftest import COMMAND, FEW_IMAGES, ONE_UNIT, configure, here
from ablations_tests.launch.plan_test import jobs_of

STEPS, EVERY = 40, 4
LINE = (
    "train", *ONE_UNIT, *FEW_IMAGES, f"recipe.total_steps={STEPS}",
    f"recipe.evaluate_every={EVERY}", "recipe.learning_rate=0.001",
)  # fmt: skip
SLOWLY = "checkpoint_seconds=0"  # so that there is time to stop a run: a checkpoint after each step


def start(cwd: Path) -> list[subprocess.Popen]:
    """The command in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = ["distributed=manual", f"distributed.coordinator=127.0.0.1:{port}", "distributed.processes=2", SLOWLY]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    commands = [[*COMMAND, *LINE, *meet, f"distributed.process={process}"] for process in range(2)]
    return [subprocess.Popen(command, cwd=cwd, **streams) for command in commands]


def kept(cwd: Path) -> int:
    """The step of the newest checkpoint."""
    folders = cwd.glob("runs/single/*/seed=0/checkpoints/[0-9]*")
    return max((int(path.name) for path in folders if path.name.isdigit()), default=0)


def wait_for_step(cwd: Path, step: int, seconds: float = 90) -> None:
    deadline = time.time() + seconds
    while kept(cwd) < step:
        assert time.time() < deadline, "no checkpoint"
        time.sleep(0.02)


def ended(processes: list[subprocess.Popen], within: float = 90) -> list[tuple[int, str]]:
    """Exit code and standard error of each."""
    deadline = time.time() + within
    try:
        said = [process.communicate(timeout=max(deadline - time.time(), 0.1))[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def worker_of(command: subprocess.Popen) -> int:
    """The process that trains for a command. Linux."""
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    return next(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())


def step_in(said: str, before: str) -> int:
    return int(said.partition(before)[2].split()[0])


def test_processes_stop_together_are_killed_and_go_on_as_fewer_or_more(tmp_path, monkeypatch, capsys):
    """One, stopped; two, stopped by a signal to the second; two, of which one is killed; one to the end."""
    [job] = jobs_of(*LINE[1:])
    folder = tmp_path / RunFolder.of(job.config).path
    folder.mkdir(parents=True)
    looks = iter([False, True])
    monkeypatch.setattr(interrupt, "stop_requested", lambda _: next(looks))
    with pytest.raises(interrupt.Interrupted, match="stopped at step 2 "):
        train(configure(*LINE[1:]), folder, quiet=True)
    monkeypatch.undo()

    both = start(tmp_path)
    wait_for_step(tmp_path, EVERY + 1)
    both[1].send_signal(signal.SIGTERM)
    (first, first_said), (second, second_said) = ended(both)
    assert (first, second) == (2, 128 + signal.SIGTERM)
    assert step_in(first_said, "goes on from step ") == 2
    stopped = step_in(first_said, "stopped at step ")
    assert stopped == step_in(second_said, "stopped at step ") == kept(tmp_path)
    assert "type the same command to go on" in first_said and "Traceback" not in first_said + second_said

    both = start(tmp_path)
    wait_for_step(tmp_path, stopped + 1)
    os.kill(worker_of(both[1]), signal.SIGKILL)
    (first, first_said), (second, second_said) = ended(both, within=60)
    assert (first, second) == (2, 2) and step_in(first_said, "goes on from step ") == stopped
    told = [line for line in first_said.splitlines() if "goes on from" not in line and "  step " not in line]
    assert told == [f"ablations: another process of this run was lost; {peers.GO_ON}"]
    assert (
        second_said
        == f"ablations: the process of this run was killed, perhaps because it ran out of memory; {peers.GO_ON}\n"
    )
    stopped = kept(tmp_path)
    said_why = (folder / "failure.txt").read_text()
    assert RunFolder(folder).failure() == peers.ANOTHER_LOST and said_why.startswith(peers.ANOTHER_LOST)
    assert "Gloo" in said_why and 'File "' in said_why, "the reason itself is below"
    assert read_record(folder) is None

    capsys.readouterr()
    record = train(configure(*LINE[1:]), folder)
    assert step_in(capsys.readouterr().err, "goes on from step ") == stopped
    metrics = read_metrics(folder)
    assert (record["status"], record["steps"]) == ("done", STEPS)

    whole = train(configure(*LINE[1:]), tmp_path, quiet=True)
    assert [line["step"] for line in metrics] == list(range(EVERY, STEPS + 1, EVERY)), "each evaluation once"
    for key in ("train_loss", "test_loss"):
        expected = [line[key] for line in read_metrics(tmp_path)]
        np.testing.assert_allclose([line[key] for line in metrics], expected, rtol=1e-3)
    assert record["config"] == whole["config"]


@pytest.mark.parametrize(
    "settings,message",
    [
        (("distributed=manual",), "distributed.coordinator=: say where process 0 listens"),
        (("distributed=manual", "distributed.coordinator=here:1", "distributed.processes=2"), "distributed.process=-1"),
        (("distributed=auto", "packing=vmap"), "packing=vmap: not possible with distributed=auto"),
        (("distributed=auto", "distributed.lost_seconds=0"), "distributed.lost_seconds=0: must be at least 1"),
    ],
)
def test_what_is_missing_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        configure(*settings)


def test_none_of_it_is_part_of_a_name_or_a_record():
    meet = ("distributed=manual", "distributed.coordinator=a:1", "distributed.processes=2", "distributed.process=1")
    [job] = jobs_of("devices=2", *meet)
    assert RunFolder.of(job.config).path == Path("runs/single/default/seed=0")
    assert job.config.resolved() == configure().resolved()


def test_outside_of_a_cluster_there_is_one_message(tmp_path):
    done = here("train", "distributed=slurm", "model=resnet20", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == (
        "ablations: distributed=slurm: this is not a task started by srun; see ablations train --help all\n"
    )


@pytest.fixture
def four(monkeypatch):
    """A machine with four GPUs."""
    monkeypatch.setattr(machine, "usable", lambda: True)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")


def test_runs_of_a_sweep_have_a_device_each_before_they_share_one(four, monkeypatch):
    monkeypatch.setattr(packing, "calibration", lambda *_, **__: iter(()))

    def launched(*overrides):
        from ablations.config import compose
        from ablations.config import jobs as sweep

        with compose.hydra() as context:
            jobs = packing.spread(sweep.plan(context, list(overrides)))
            master, way = launcher.chosen_launcher(context, jobs, list(overrides))
        return {job.config.devices for job in jobs}, master.hydra.launcher.get("n_jobs"), way

    assert launched("seeds=3") == ({1}, 3, ("single", 1))
    assert launched("seeds=9") == ({1}, 4, ("single", 1))
    assert launched("seeds=9", "devices=2") == ({2}, 2, ("single", 1))
    assert launched("seeds=16", "packing=processes", "runs_at_a_time=2") == ({1}, 8, ("processes", 2))
    assert launched("seeds=16", "packing=interleaved", "runs_at_a_time=3") == ({1}, 4, ("interleaved", 3))
    assert launched("seeds=1") == ({None}, None, ("single", 1)), "a run alone has all"


TAKE = """
import sys, time
from ablations.system import machine as accelerators
accelerators.usable, accelerators.find_spec = lambda: True, lambda name: None
accelerators.take(int(sys.argv[1]))
import os; print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True); sys.stdin.read()
"""


def test_processes_take_devices_that_others_have_not_taken(tmp_path):
    def process(count):
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "3,GPU-a,5", "TMPDIR": str(tmp_path)}
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        one = subprocess.Popen([sys.executable, "-c", TAKE, str(count)], env=environment, **streams)
        return one, one.stdout.readline().strip()

    found = [process(count) for count in (1, 2, 1, 3)]
    assert [taken for _, taken in found] == ["3", "GPU-a,5", "3", "3,GPU-a,5"]
    found[0][0].communicate()
    found.append(process(1))
    assert found[-1][1] == "3", "free again"
    for one, _ in found[1:]:
        one.communicate()


@pytest.mark.parametrize(
    "tasks,node,task,more,own",
    [
        ("1(x2)", 1, 0, {}, [0, 1, 2, 3]),
        ("2(x2)", 0, 1, {}, [2, 3]),
        ("4,2", 1, 0, {}, [0, 1]),
        ("2", 0, 1, {"SLURM_GPUS_PER_TASK": "4"}, [0, 1, 2, 3]),
    ],
)
def test_a_task_of_slurm_has_its_share_of_its_hosts_devices(tasks, node, task, more, own, four, monkeypatch):
    said = {"SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": str(node), "SLURM_LOCALID": str(task)} | more
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert Slurm().arguments() == {"cluster_detection_method": "slurm", "local_device_ids": own}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(machine, "usable", lambda: False)
    assert Slurm().arguments() == {"cluster_detection_method": "slurm"}
