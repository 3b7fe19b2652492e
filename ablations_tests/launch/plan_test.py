"""`ablations plan`: what it counts, what it shares, what it finds in the folders of runs, and what it prints."""

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from ablations.cli import plan as cli_plan
from ablations.config import compose
from ablations.config import jobs as sweep
from ablations.costs import calibrate as costs_calibrate
from ablations.costs import cost, measure
from ablations.costs.cost import Figures, Timing
from ablations.data import catalogue
from ablations.data import config as data
from ablations.data.cifar import published
from ablations.errors import UserError
from ablations.launch import plan, plan_table
from ablations.runs.folder import RunFolder
from ablations.runs.record import write_record
from ablations.system import lock
from ablations.terminal import grid, units
from ablations.training.checkpoint import Checkpoints
from ablations.training.steps import Steps
from ablations_tests.conftest import BLANK, COMMAND, ONE_UNIT, configure, here

SMALL = (*ONE_UNIT, "activation=original")
FIGURES = Figures(parameters=10, macs=100, program="a", traffic_bytes=8, weights_bytes=40, state_bytes=90)
TIMING = Timing(
    import_seconds=1,
    start_seconds=9,
    start_again_seconds=2,
    steps=(9, 0.5, 0.25),
    test_seconds=0.125,
    temporary_bytes=7,
)


def jobs_of(*overrides):
    with compose.hydra() as context:
        return sweep.plan(context, list(overrides))


def planned(*overrides, calibrate=False):
    with compose.hydra() as context:
        return plan.make(context, sweep.plan(context, list(overrides)), list(overrides), calibrate=calibrate)


@pytest.fixture
def known(monkeypatch):
    """Figures and times that are given, so that nothing is traced and no process is started."""
    monkeypatch.setattr(costs_calibrate, "figures", lambda configs: [FIGURES for _ in configs])
    monkeypatch.setattr(costs_calibrate, "timings", lambda programs: {program: TIMING for program in programs})


def test_a_run_of_resnet110_by_the_papers_protocol_is_12_peta_flop():
    """252.9 M multiply-adds (He et al. 2015a) x 6 x 128 images x 64,000 steps: 1.2e16."""
    config = configure("model=resnet110", "data=cifar10", "recipe=paper")
    figures = measure.figures(config)
    assert (figures.parameters, f"{figures.macs / 1e6:.1f}") == (1_727_962, "252.9")
    assert units.scientific(cost.flop(config, figures, config.recipe.total_steps)) == "1.2e16"


def program(*overrides):
    return measure.figures(configure(*SMALL, *overrides)).program


def test_rows_that_differ_only_in_a_number_share_a_program_and_no_others_do():
    gate, scaling = "shortcut=exclusive_gating", "shortcut=constant_scaling"
    gated, scaled = program(gate, "shortcut.bias=0"), program(scaling, "shortcut.shortcut_scale=0")
    assert gated == program(gate, "shortcut.bias=-6", "seed=3")
    assert scaled == program(scaling, "shortcut.residual_scale=1")
    different = [program(), gated, scaled, program("shortcut=conv1x1"), program("precision=bf16")]
    different += [program("recipe.learning_rate=0.3"), program("recipe.batch_size=64"), program("model.layers=[6]")]
    different += [program("model.layers=[6]", "unroll=true")]
    assert len(set(different)) == len(different)


def test_the_program_that_is_counted_is_the_one_that_trains():
    config = configure(*SMALL)
    steps = Steps(config, catalogue.load(config.data))
    compiled = []
    call = steps.programs.call
    steps.programs.call = lambda name, function, *arguments, **options: (
        compiled.append(jax_text(function, arguments, options)) or call(name, function, *arguments, **options)
    )
    steps.train(steps.init(), jnp.zeros((1, config.recipe.batch_size), jnp.int32))
    assert compiled[-1] == steps.trace_train(1).lower().as_text()


def jax_text(function, arguments, options):
    import jax

    return jax.jit(function, **options).lower(*arguments).as_text()


@pytest.mark.parametrize("settings", [{}, {"split": "train_val"}, {"split": "train_val", "train_images": 100}])
def test_sizes_are_known_without_reading(settings):
    config = data.DataConfig("digits", **settings)
    dataset, kind = catalogue.load(config), data.DATASETS["digits"]
    assert catalogue.sizes(config) == (len(dataset.train_images), len(dataset.test_images))
    assert kind.image == dataset.train_images.shape[1:] and kind.classes == dataset.classes


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_sizes_of_cifar_are_those_of_its_files(name):
    cifar, kind = published.CIFARS[name], data.DATASETS[name]
    assert (kind.train, kind.test, kind.classes) == (
        cifar.images("train"),
        cifar.images("test"),
        cifar.classes["label"],
    )


def test_a_data_set_that_is_not_here_is_planned_and_not_trained(tmp_path):
    figures = measure.figures(configure(*ONE_UNIT, "data=imagenet", "recipe.batch_size=2"))
    # Two convolutions with BN, and a linear layer.
    assert figures.parameters == (9 * 3 * 8 + 2 * 8) + (9 * 8 * 8 + 2 * 8) + (8 * 1000 + 1000)
    done = here("train", "data=imagenet", f"data.data_dir={tmp_path}", "model=resnet18", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("ablations: data=imagenet is not prepared in")
    assert not (tmp_path / "runs").exists()


def test_seconds_are_start_steps_and_tests():
    config = configure("recipe.total_steps=100", "recipe.evaluate_every=30", "recipe.bn_statistics=running")
    # 360 test images in batches of 32 are 12 batches; tests after 30, 60, 90 and 100 steps.
    assert cost.seconds(config, TIMING, 0) == 1 + 2 + 100 * 0.5 + 4 * 12 * 0.125
    assert cost.seconds(config, TIMING, 60) == 1 + 2 + 40 * 0.5 + 2 * 12 * 0.125
    exact = configure("recipe.total_steps=100", "recipe.evaluate_every=30", "recipe.bn_statistics=exact")
    assert cost.seconds(exact, TIMING, 0) == cost.seconds(config, TIMING, 0) + 44 * 0.125
    assert cost.seconds(config, Timing(reason="too large"), 0) is None


@pytest.mark.parametrize("at_a_time,seconds", [(1, 10), (2, 6), (3, 5), (9, 4)])
def test_runs_are_started_in_their_order(at_a_time, seconds):
    assert cost.elapsed([1, 2, 3, 4], at_a_time) == seconds


def test_a_program_is_compiled_once_for_all_runs(known):
    found = planned("seeds=3", "recipe.total_steps=100", "recipe.evaluate_every=100", calibrate=True)
    one = cost.seconds(found.lines[0].config, TIMING, 0)
    assert found.at_a_time <= 3 and found.program_count == 1
    found = replace(found, at_a_time=1)
    assert found.seconds_left == pytest.approx(3 * one + (9 - 2))
    assert found.flop_left == 3 * 6 * 100 * 32 * 100
    assert found.disk_bytes == 3 * 40 + 3 * 90  # weights; two checkpoints kept and one being written


def test_states_are_read_off_the_folders(tmp_path, known):
    """Seeds 0 ... 5: done; interrupted; of another configuration; running; running without a sign; missing."""
    overrides = ("model=resnet20", "recipe.total_steps=6", "recipe.evaluate_every=3", f"runs_dir={tmp_path}/runs")
    jobs = jobs_of(*overrides, "seed=0,1,2,3,4,5")
    folders = [RunFolder.of(job.config) for job in jobs]
    folders[0].path.mkdir(parents=True)
    write_record(folders[0].path, BLANK | {"config": jobs[0].config.resolved(), "steps": 6})
    for seed, step in ((1, 2), (1, 4), (2, 4)):
        checkpoints = Checkpoints(folders[seed].path)
        config = jobs[seed].config.resolved() | ({"seed": 9} if seed == 2 else {})
        checkpoints.save(step, {"w": jnp.ones(3)}, {}, config, wait=True)
        checkpoints.close()
    kept = folders[1].checkpoints
    shutil.copytree(kept / "4", kept / "5.orbax-checkpoint-tmp")  # broken off while it was written
    folders[3].path.mkdir(parents=True)
    folders[4].path.mkdir(parents=True)
    folders[3].progress_file.write_text(json.dumps({"step": 5}))
    with lock.hold(folders[3].path), lock.hold(folders[4].path):
        found = planned(*overrides, "seed=0,1,2,3,4,5")
    states = [(run.state, run.step, run.steps_left) for run in found.runs]
    assert states == [
        ("done", 6, 0), ("interrupted", 4, 2), ("missing", 0, 6), ("running", 5, 1), ("running", 0, 6), ("missing", 0, 6)
    ]  # fmt: skip
    text = "0 done; 1 interrupted at 4; 2 missing; 3 running at 5; 4 running; 5 missing"
    assert plan_table.cells(found)[0]["seeds"].plain == text
    assert "6 runs: 1 done, 2 running, 1 interrupted, 2 missing." in plan_table.notes(found)[0]
    assert not folders[5].path.exists()
    folders[5].path.mkdir()
    write_record(folders[5].path, BLANK | {"config": jobs[4].config.resolved(), "steps": 6})
    with pytest.raises(UserError, match="holds a run of another configuration .seed: 4 there, 5 here"):
        planned(*overrides, "seed=5")
    forced = planned(*overrides, "force=true", "seed=0")
    assert forced.runs[0].state == "missing"


def test_what_all_rows_share_stands_in_the_title_and_what_differs_in_columns(known):
    found = planned("study=table2", "seeds=1")
    assert "digits (1,437 images of 8x8), recipe digits, 880 steps, batches of 32, f32" in plan_table.title(found)
    assert "model" not in plan_table.cells(found)[0]  # it stands in the names of the rows
    found = planned("matmul_precision=default,highest")
    assert [row["matmul"] for row in plan_table.cells(found)] == ["default", "highest"]
    assert "f32, matmul_precision highest" in plan_table.title(planned("matmul_precision=highest"))
    found = planned("recipe.batch_size=32,64")
    assert [row["batch"] for row in plan_table.cells(found)] == ["32", "64"]
    assert "batches of" not in plan_table.title(found)
    assert grid.markdown("", plan_table.cells(found), []).count("\n| ") == 3


def test_the_command_measures_once_and_then_imports_no_jax(briefly, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = [*SMALL, "shortcut=constant_scaling", "shortcut.residual_scale=0.5,1", "seeds=2", "format=csv"]
    first = here("plan", *settings, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "calibrating: 1 of 1 programs" in first.stderr and not (tmp_path / "runs").exists()
    rows = list(csv.DictReader(io.StringIO(first.stdout)))
    assert [row["seed"] for row in rows] == ["0", "1", "0", "1"] and {row["state"] for row in rows} == {"missing"}
    for row in rows:
        # A step takes a part of the run, and its temporaries hold at least the input of the unit's convolution.
        assert 0 < 880 * float(row["step_seconds"]) < float(row["run_seconds"])
        assert int(row["activation_bytes"]) > 32 * 8 * 8 * 8 * 4
    code = "import sys; from ablations.cli import dispatch; dispatch('plan', sys.argv[1:]); assert 'jax' not in sys.modules"
    again = subprocess.run([*COMMAND[:1], "-c", code, *settings], cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    cli_plan.command([*settings, "calibrate=false"])
    without = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert all(row["run_seconds"] == row["activation_bytes"] == "" for row in without)


def test_a_process_that_dies_takes_its_own_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\ncat > /dev/null\nkill -KILL $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    found = costs_calibrate.timings({"a": configure(*SMALL)})
    assert found["a"].reason == "killed by signal 9, perhaps out of memory" and found["a"].step_seconds is None
    script.write_text("#!/bin/sh\ncat > /dev/null\necho no device >&2\nexit 1\n")
    with pytest.raises(UserError, match="no device"):
        costs_calibrate.figures([configure(*SMALL)])
    assert not list(tmp_path.glob("**/*.json"))


def test_a_step_that_does_not_fit_is_not_run(monkeypatch):
    monkeypatch.setattr(measure, "_free_bytes", lambda: 1000)
    timing = measure.timing(configure(*SMALL), 0.0)
    assert timing.steps == () and "of memory, 0.0 GB are free" in timing.reason and timing.temporary_bytes > 1000


def test_a_step_is_measured_where_its_memory_cannot_be_known(monkeypatch):
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda _: None)
    monkeypatch.setattr(measure, "_enough", lambda calls, _: len(calls) > 1)
    met = []
    timing = measure.timing(configure(*SMALL), 0.0, meet=lambda: met.append(True))
    assert timing.step_seconds > 0 and timing.reason == "" and met == [True]
    assert timing.temporary_bytes is None and timing.program_bytes is None


@pytest.mark.parametrize(
    "setting,message",
    [
        ("calibrate=maybe", "calibrate=maybe: legal are true, false"),
        ("format=latex", "format=latex: legal are terminal, markdown, csv"),
        ("model=resnet111", "model=resnet111: unknown"),
        ("recipe.batch_size=5000", "the training set of digits has 1437 images"),
        ("data.train_images=9000", "the training set has 1,437 images of 10 classes"),
        ("--sed", "--sed: unknown option; see ablations plan --help"),
    ],
)
def test_refuses_in_one_message(setting, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        cli_plan.command([setting])


@pytest.mark.parametrize(
    "seconds,text",
    [(None, "-"), (8.4, "8 s"), (600, "10 min"), (7200, "2.0 h"), (1e5, "28 h"), (4e5, "4.6 days"), (4e7, "463 days"), (1e8, "3 years")],
)  # fmt: skip
def test_durations(seconds, text):
    assert units.duration(seconds) == text


def test_a_plan_for_more_devices_than_are_here_is_of_one_with_its_part_of_a_batch(known, monkeypatch):
    settings = ("devices=8", "recipe.batch_size=64")
    devices, part = measure._here(configure(*settings, "recipe.bn_group=device"))
    assert (devices.count, part.recipe.batch_size, part.recipe.bn_group, part.devices) == (1, 8, None, 1)
    assert measure._here(configure(*settings, "recipe.bn_group=4"))[1].recipe.bn_group == 4
    assert measure._here(configure(*settings, "recipe.bn_group=32"))[1].recipe.bn_group is None, "spans devices"
    assert measure._here(configure())[1] == configure()
    eighth = replace(TIMING, parts=8, program_bytes=3_000_000)
    monkeypatch.setattr(costs_calibrate, "timings", lambda programs: {program: eighth for program in programs})
    found = planned(*settings, calibrate=True)
    [row] = plan_table.cells(found)
    assert row["memory a device"] == "3.0 MB" and "spread over 8" in plan_table.title(found)
    notes = " ".join(plan_table.notes(found))
    assert "on 8 devices like the one here" in notes and "with its 8 images of a batch" in notes
    assert cost.exchange_bytes(FIGURES, 8, "f32") == 2 * 7 / 8 * 4 * FIGURES.parameters
    assert cost.exchange_bytes(FIGURES, 8, "bf16") == 2 * 7 / 8 * 2 * FIGURES.parameters
    assert "memory a device" not in plan_table.cells(planned(calibrate=True))[0]
    with pytest.raises(UserError, match="does not divide among 7 devices; 63 and 70 do"):
        planned("devices=7", "recipe.batch_size=64")
