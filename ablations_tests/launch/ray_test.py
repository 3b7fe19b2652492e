"""A study through Ray, on a real cluster of two nodes on this machine."""

import os
import signal
import subprocess
import sys

import pytest

from ablations.runs.record import read_metrics, read_record
from ablations_tests.commands.train_test import wait_for
from ablations_tests.conftest import COMMAND, ablations

ray = pytest.importorskip("ray", reason="needs the extra [ray]: pip install 'ablations[ray]'")

# A process of its own: Ray's own warnings are no errors of ours, and no thread of its is left in this one.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "lose":
        cluster.remove_node(other, allow_graceful=False)
        print("lost", flush=True)
cluster.shutdown()
"""
LINE = ("train", "model=resnet20", "model.depth=8", "recipe.batch_size=8", "recipe.total_steps=300")
LINE += ("recipe.evaluate_every=100", "checkpoint_seconds=0.3", "hydra/launcher=ray")


@pytest.fixture
def cluster():
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.address = process.stdout.readline().strip()
    yield process
    process.communicate(timeout=60)


def test_a_node_that_is_lost_costs_no_run(cluster, tmp_path):
    """Three runs on two nodes; the second is removed while both train."""
    environment = os.environ | {"RAY_ADDRESS": cluster.address}
    line = [*LINE, "seed=0,1,2"]
    command = subprocess.Popen([*COMMAND, *line], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("runs/single/*/seed=*/checkpoints/[0-9]*"))) >= 2)
    cluster.stdin.write("lose\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "lost\n"
    _, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors
    (row,) = tmp_path.glob("runs/single/*/")
    assert sorted(path.parent.name for path in row.rglob("record.json")) == ["seed=0", "seed=1", "seed=2"]
    for folder in row.iterdir():
        assert read_record(folder)["status"] == "done"
        assert [line["step"] for line in read_metrics(folder)] == [100, 200, 300]
    assert "hydra/launcher=ray" in read_record(row / "seed=0")["command"]
    assert not list(tmp_path.rglob(".stop-*"))
    again = ablations(*line, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("done already") == 3


def test_an_interrupt_reaches_the_runs(cluster, tmp_path):
    """Those that run keep their step; one that has not begun does not begin."""
    environment = os.environ | {"RAY_ADDRESS": cluster.address}
    line = [*LINE, "recipe.total_steps=3000", "seed=0,1,2"]
    command = subprocess.Popen([*COMMAND, *line], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("runs/single/*/seed=*/progress.json"))) == 2)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130 and errors.count("which is kept in") == 2, errors
    kept = {path.parents[1].name for path in tmp_path.glob("runs/single/*/seed=*/checkpoints/[0-9]*")}
    assert len(kept) == 2 and not list(tmp_path.rglob("record.json"))


def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path):
    done = ablations(*LINE, "hydra.launcher.ray.init.address=127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 2 and "no Ray cluster answers at 127.0.0.1:1 (Connection refused)" in done.stderr
    assert "Traceback" not in done.stderr
