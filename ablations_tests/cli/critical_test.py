"""`ablations critical` as a user types it."""

import json
import subprocess
import sys

import pytest

from ablations_tests import depths
from ablations_tests.conftest import ROOT, here

BROKEN = "record.json cannot be read: it is not JSON"


@pytest.fixture
def folder(tmp_path):
    depths.write(tmp_path / "runs", {"identity": (0, 0, 0), "dropout": (0, 3, 3)})
    return tmp_path


def test_it_prints_or_writes_the_table(folder):
    shown = here("critical", "study=depth", cwd=folder)
    assert shown.returncode == 0 and "half fail at" in shown.stdout and "dropout" in shown.stdout, shown.stderr
    written = here("critical", "study=depth", "data=digits", "out=critical.md", cwd=folder)
    assert written.stdout == "wrote critical.md\n"
    printed = here("critical", "study=depth", "format=markdown", cwd=folder)
    assert (folder / "critical.md").read_text() == printed.stdout
    assert here("critical", "study=depth", "format=csv", cwd=folder).stdout.startswith("study,row,fails_20,runs_20,")


def test_it_imports_no_jax(folder):
    code = "import sys; from ablations.cli import dispatch; dispatch('critical', ['study=depth']); sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr


def measurement(row, product):
    """The file of `ablations probe study=depth at=start` as far as this command reads it."""
    return {
        "schema_version": 1, "kind": "probe", "row": row, "at": "start", "units": {"product": [product, 1.0]},
        "config": depths.configs()[row].resolved(),
    }  # fmt: skip


def test_measurements_come_from_the_runs_or_another_folder(folder):
    elsewhere = folder / "why" / "depth" / "dropout_20" / "seed=0"
    elsewhere.mkdir(parents=True)
    (elsewhere / "probe-start.json").write_text(json.dumps(measurement("dropout_20", 0.0017)))
    assert "measured" not in here("critical", "study=depth", "format=csv", cwd=folder).stdout
    shown = here("critical", "study=depth", "probes=why", "data=digits", "format=markdown", cwd=folder).stdout
    assert "measured before training" in shown and "0.0017 at 20" in shown
    beside = folder / "runs" / "depth" / "dropout_20" / "seed=0" / "probe-start.json"
    beside.write_text(json.dumps(measurement("dropout_20", 0.0018)))
    assert "0.0018 at 20" in here("critical", "study=depth", "format=markdown", cwd=folder).stdout


@pytest.mark.parametrize(
    "arguments,message",
    [
        ([], "study=... is missing; legal are cardinality"),
        (["depth"], "depth: settings are key=value; see ablations critical --help"),
        (
            ["study=table1"],
            "study=table1: a critical depth needs a study whose grid has two axes, a choice and a depth",
        ),
        (["study=gates"], "study=gates: a critical depth needs a study whose grid has two axes, a choice and a depth"),
        (["study=depth", "format=latex"], "format=latex: legal are terminal, markdown, csv"),
        (["study=depth", "runs_dir=nowhere"], "runs_dir=nowhere: there is no such folder"),
        (["study=depth", "probes=nowhere"], "probes=nowhere: there is no such folder"),
        (["study=depth_orders"], "runs has no such runs; ablations train study=depth_orders makes them"),
        (["study=depth", "data=cifar10"], "runs has no such runs; ablations train study=depth makes them"),
        (["study=depth", "recipe.steps=1"], "recipe.steps=1: no run has such a setting"),
        (["study=depth", "model.depth=20"], "the runs are all of 20 layers; a critical depth needs runs of two depths"),
        (["study=depth", "out=runs"], "out=runs: cannot be written"),
    ],
)
def test_one_clear_message(arguments, message, folder):
    done = here("critical", *arguments, cwd=folder)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.startswith("ablations: ") and done.stderr.count("\n") == 1


def test_a_record_that_cannot_be_read_is_named(folder):
    (folder / "runs" / "depth" / "identity_20" / "seed=0" / "record.json").write_text("{")
    assert BROKEN in " ".join(here("critical", "study=depth", cwd=folder).stdout.split())
    done = here("critical", "study=depth", "format=csv", cwd=folder)
    assert BROKEN in done.stderr and done.returncode == 0
    assert BROKEN in here("critical", "study=depth", "data=cifar10", cwd=folder).stderr
