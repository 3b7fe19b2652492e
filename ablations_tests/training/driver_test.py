"""Packed runs: the same numbers as alone, and the end of one is not the end of the others."""

import builtins
import signal
import subprocess
import time
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.costs import calibrate, kept
from ablations.costs.cost import Timing
from ablations.data import catalogue
from ablations.launch import packing
from ablations.runs.folder import RunFolder
from ablations.runs.record import read_metrics, read_record
from ablations.system import interrupt, machine
from ablations.training import driver
from ablations.training.loop import train, training
from ablations_tests.conftest import COMMAND, FEW_IMAGES, ONE_UNIT, configure, here

TINY = (*ONE_UNIT, "shortcut=identity", "recipe.total_steps=5", "recipe.evaluate_every=3", *FEW_IMAGES)
# Rows that differ in their seed and in a number, and have random numbers inside, share a program.
ROWS = (("seed=0",), ("seed=1",), ("seed=1", "shortcut.rate=0.1"))


def packed(how: str, configs: list[Config], folder) -> list:
    """Train these together, each in the folder of its place in the list."""
    runs = []
    for i, config in enumerate(configs):
        (folder / str(i)).mkdir(parents=True)
        config = replace(config, packing=how, runs_at_a_time=len(configs))
        runs.append(training(config, folder / str(i), catalogue.load(config.data), quiet=True))
    return driver.run(runs, replace(configs[0], packing=how))


def alone(configs: list[Config], folder) -> list[dict]:
    for i in range(len(configs)):
        (folder / str(i)).mkdir(parents=True)
    return [train(config, folder / str(i), quiet=True) for i, config in enumerate(configs)]


def weights(folder, i: int) -> dict[str, np.ndarray]:
    return load_file(folder / str(i) / "weights.safetensors")


@pytest.fixture(scope="module")
def singles(tmp_path_factory):
    """The configurations of a pack, the folder in which they were trained one by one, and their records."""
    folder = tmp_path_factory.mktemp("singles")
    configs = [configure(*TINY, "shortcut=dropout", *row) for row in ROWS]
    return configs, folder, alone(configs, folder)


def test_interleaved_runs_have_the_bits_of_single_ones(singles, tmp_path):
    configs, folder, _ = singles
    packed("interleaved", configs, tmp_path)
    for i in range(len(configs)):
        assert read_metrics(tmp_path / str(i)) == read_metrics(folder / str(i))
        one, other = weights(tmp_path, i), weights(folder, i)
        assert all(np.array_equal(one[name], other[name]) for name in other)


def test_runs_with_a_common_axis_have_the_numbers_of_single_ones(singles, tmp_path):
    configs, folder, records = singles
    for i, record in enumerate(packed("vmap", configs, tmp_path)):
        assert record["packing"] == "vmap" and record["runs_at_a_time"] == len(configs)
        assert record["config"] == records[i]["config"] and record["seed"] == configs[i].seed
        assert record["train_loss"] == pytest.approx(records[i]["train_loss"], rel=1e-4)
        one, other = weights(tmp_path, i), weights(folder, i)
        for parameter in other:
            np.testing.assert_allclose(one[parameter], other[parameter], rtol=2e-3, atol=2e-4, err_msg=parameter)
    assert len({record["train_loss"] for record in records}) == len(records)  # they are different runs


@pytest.mark.parametrize("how", ["interleaved", "vmap"])
def test_runs_of_a_pack_go_on_without_one_that_ends(singles, tmp_path, how, monkeypatch):
    configs, folder, records = singles
    broken = tmp_path / "1" / "metrics.jsonl"
    whole = builtins.open

    def no_room(path, *arguments, **options):
        if path == broken:
            raise OSError(28, "No space left on device")
        return whole(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", no_room)
    first, second, third = packed(how, configs, tmp_path)
    assert isinstance(second, OSError) and second.errno == 28
    assert first["train_loss"] == pytest.approx(records[0]["train_loss"], rel=1e-4)
    assert third["train_loss"] == pytest.approx(records[2]["train_loss"], rel=1e-4)


@pytest.mark.parametrize("how", ["interleaved", "vmap"])
def test_packed_runs_that_were_stopped_at_different_steps_go_on(singles, tmp_path, how, monkeypatch):
    configs, _, records = singles
    for i, config in enumerate(configs[:2]):  # the third has not begun
        (tmp_path / str(i)).mkdir()
        looks = iter([False] * i + [True])
        monkeypatch.setattr(interrupt, "stop_requested", lambda _, looks=looks: next(looks))
        with pytest.raises(interrupt.Interrupted, match=f"stopped at step {i + 1} "):
            train(config, tmp_path / str(i), quiet=True)
    monkeypatch.undo()
    (tmp_path / "2").mkdir()
    runs = [
        training(replace(c, packing=how), tmp_path / str(i), catalogue.load(c.data), quiet=True)
        for i, c in enumerate(configs)
    ]
    for record, single in zip(driver.run(runs, replace(configs[0], packing=how)), records, strict=True):
        assert record["steps"] == 5 and record["train_loss"] == pytest.approx(single["train_loss"], rel=1e-4)


def test_a_packed_sweep_that_is_killed_goes_on(tmp_path):
    rows = ["packing=vmap", "seeds=3", "recipe.total_steps=12", "recipe.evaluate_every=4", "hydra/launcher=basic"]
    command = ["train", *ONE_UNIT, *FEW_IMAGES, *rows]
    process = subprocess.Popen([*COMMAND, *command, "checkpoint_seconds=0"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while len(list(tmp_path.glob("runs/*/*/seed=*/metrics.jsonl"))) < 3 or not any(
        path.read_text() for path in tmp_path.glob("runs/*/*/seed=2/metrics.jsonl")
    ):
        assert process.poll() is None and time.monotonic() - began < 100
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = sorted(tmp_path.glob("runs/*/*/seed=*"))
    assert [read_record(folder)["seed"] for folder in folders] == [0, 1, 2]
    for folder in folders:
        assert read_record(folder)["packing"] == "vmap"
        assert [line["step"] for line in read_metrics(folder)] == [4, 8, 12]
    again = here(*command, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("done already") == 3


def job(*overrides: str, seed: int = 0) -> Job:
    config = replace(configure(*TINY, *overrides), seed=seed)
    return Job(config, tuple(overrides))


def test_groups_are_of_one_program_and_not_larger_than_asked_for(networks_read_here):
    rows = [("shortcut=identity",), ("shortcut=dropout",), ("shortcut=dropout", "shortcut.rate=0.1")]
    jobs = [job(*row, seed=seed) for row in rows for seed in (0, 1, 2)]
    names = lambda jobs: [(j.config.shortcut.name, j.config.seed) for j in jobs]  # noqa: E731
    vmapped = [names(group) for group in packing.groups(packing.settle(jobs, "vmap", 4))]
    assert [len(group) for group in vmapped] == [3, 4, 2]
    assert all(len({name for name, _ in group}) == 1 for group in vmapped)
    assert [len(group) for group in packing.groups(packing.settle(jobs, "interleaved", 4))] == [4, 4, 1]
    assert [len(group) for group in packing.groups(packing.settle(jobs, "processes", 4))] == [1] * 9
    assert sorted(sum(vmapped, [])) == sorted(names(jobs))


def test_processes_take_the_longest_runs_first_and_equal_ones_in_their_order():
    deep = "model.layers=[4]"
    jobs = [job(*words) for words in ((), (deep,), ("shortcut=dropout",), (deep, "shortcut=dropout"))]
    jobs.append(job("recipe.total_steps=1000"))
    order = [group[0] for group in packing.longest_first([[each] for each in jobs])]
    assert order == [jobs[i] for i in (4, 1, 3, 0, 2)]


def test_what_is_chosen_goes_with_each_job():
    [settled] = packing.settle([job("seed=3")], "vmap", 2)
    assert (settled.config.packing, settled.config.runs_at_a_time) == ("vmap", 2)
    assert settled.overrides == ("seed=3", "packing=vmap", "runs_at_a_time=2")
    assert settled.config.resolved() == job("seed=3").config.resolved()


def test_on_a_processor_each_core_has_a_process(monkeypatch):
    configs = [configure(*TINY)] * 9
    monkeypatch.setattr(machine, "cores", lambda: 6)
    assert packing.choose(configs) == ("processes", 6)
    assert packing.choose(configs[:2]) == ("processes", 2)
    assert packing.choose(configs[:1]) == ("single", 1)
    assert packing.choose([replace(c, threads=4) for c in configs]) == ("single", 1)
    assert packing.choose(configs, processes=3) == ("processes", 3)
    assert packing.choose([replace(c, packing="vmap") for c in configs]) == ("vmap", packing.RUNS_AT_A_TIME)
    assert packing.choose([replace(c, packing="vmap", runs_at_a_time=8) for c in configs]) == ("vmap", 8)


def test_on_an_accelerator_the_calibration_decides_and_says_so(monkeypatch, capsys):
    """The seconds of a device on which two runs with a common axis take 1.1, four 1.3, eight 2.5 times one."""
    seconds = {("single", 1): 1.0, ("interleaved", 2): 1.9, ("vmap", 2): 1.1, ("vmap", 4): 1.3, ("vmap", 8): 2.5}
    seconds |= {("processes", 2): 1.2, ("processes", 4): 2.3}
    measured = []

    def timing(_, config, *, measure):
        way = config.packing, config.runs_at_a_time
        measured.append(way)
        return Timing(device="a device", steps=(seconds[way],)) if measure else None

    monkeypatch.setattr(machine, "usable", lambda: True)
    monkeypatch.setattr(calibrate, "timing", timing)
    monkeypatch.setattr(calibrate, "figures", lambda configs: [configs and type("F", (), {"program": "p"})])
    configs = [configure(*TINY)] * 9
    assert packing.choose(configs) == ("vmap", 8)
    assert "packing=vmap runs_at_a_time=8: 3.20 times the images/s of one run" in capsys.readouterr().err
    assert set(measured) == set(seconds)  # nothing beyond what gains too little
    assert packing.choose(configs[:5]) == ("vmap", 4)
    assert packing.choose(configs, measure=False) == ("single", 1)
    assert packing.choose(configs[:1]) == ("single", 1)
    measured.clear()
    assert packing.choose([replace(config, deterministic=True) for config in configs]) == ("processes", 4)
    assert ("vmap", 2) not in measured, "its last bits depend on how many runs are left"


def test_a_way_that_dies_is_left_out(networks_read_here, monkeypatch):
    def timing(_, config, *, measure):
        dies = config.packing != "single"
        return Timing(reason="out of memory") if dies else Timing(device="a device", steps=(1.0,))

    monkeypatch.setattr(calibrate, "timing", timing)
    assert packing.fastest(configure(*TINY), 8) == ("single", 1)


def test_processes_are_measured_side_by_side(measuring):
    """Two that meet, or they would not end, and then take 2 seconds for a step each."""
    measuring("measure.timing = lambda config, _, pixels, meet: meet() or measure.Timing(steps=(2.0,))")
    config = replace(configure(*TINY), packing="processes", runs_at_a_time=2)
    timing = calibrate.short_run(config)
    assert (timing.reason, timing.step_seconds) == ("", 2)


@pytest.mark.parametrize("wrong", ["packing=two", "runs_at_a_time=0", "packing=single runs_at_a_time=2"])
def test_a_packing_that_cannot_be_is_refused(tmp_path, wrong):
    done = here("train", *wrong.split(), cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"ablations: {wrong.split()[-1]}: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_device_that_has_too_little_memory_is_a_message(tmp_path, monkeypatch):
    from ablations.launch import entry

    def too_much(*_):
        jnp.zeros(1 << 45) + 1

    monkeypatch.setattr(driver, "run", too_much)
    configs = [replace(configure(*TINY), seed=seed, runs_dir=str(tmp_path)) for seed in (0, 1)]
    for config in configs:
        RunFolder.of(config).path.mkdir(parents=True)
    for error in entry.run(configs, quiet=True):
        assert "2 runs at a time; choose a smaller runs_at_a_time" in str(error) and "remat=true" in str(error)


def test_a_run_that_the_device_ends_is_closed(tmp_path, monkeypatch):
    from ablations.launch import entry
    from ablations.training import loop

    closed = []

    def waits(*_, **__):
        try:
            yield
        finally:
            closed.append(True)

    def too_much(runs, _):
        next(runs[0])
        jnp.zeros(1 << 45) + 1

    monkeypatch.setattr(loop, "training", waits)
    monkeypatch.setattr(driver, "run", too_much)
    config = replace(configure(*TINY), runs_dir=str(tmp_path))
    RunFolder.of(config).path.mkdir(parents=True)
    [error] = entry.run([config], quiet=True)
    assert error and closed


@pytest.mark.parametrize("how", ["dies", "has no memory"])
def test_nobody_waits_for_a_process_that_does_not_come(monkeypatch, how):
    """The second of two processes, where the first waits for it."""
    config = replace(configure(*TINY), packing="processes", runs_at_a_time=2)
    begun, ended = [], []

    def request(kind, configs, pixels, meeting):
        begun.append(True)
        if len(begun) == 2:
            if how == "dies":
                raise calibrate.Died("killed by signal 9")
            yield Timing(reason="a step needs 9 GB")
            return
        for _ in range(200):
            if (meeting / calibrate.OFF).exists():
                ended.append(True)
                raise calibrate.Died("another process does not come")
            time.sleep(0.01)
        yield Timing(steps=(1.0,))

    monkeypatch.setattr(calibrate, "request", request)
    if how == "dies":
        with pytest.raises(calibrate.Died, match="signal 9"):
            calibrate.short_run(config)
    else:
        assert calibrate.short_run(config).reason == "a step needs 9 GB"
    assert ended


def test_a_meeting_that_is_off_has_one_participant_less(tmp_path):
    config = replace(configure(*TINY), packing="processes", runs_at_a_time=2)
    (tmp_path / calibrate.OFF).touch()
    with pytest.raises(SystemExit, match="has failed"):
        calibrate._meet(config, {"meeting": str(tmp_path)})


def test_processes_side_by_side_share_a_device(tmp_path, monkeypatch):
    seen = []

    def start(*_, env, **__):
        seen.append(env["CUDA_VISIBLE_DEVICES"])
        raise OSError

    monkeypatch.setattr(machine, "gpus", lambda: ["2", "3"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(subprocess, "Popen", start)
    for devices, meeting in ((1, tmp_path), (None, tmp_path), (1, None)):
        with pytest.raises(OSError):
            list(calibrate.request(Timing, [replace(configure(*TINY), devices=devices)], meeting=meeting))
    assert seen == ["2", "2,3", "2,3"]


def test_want_of_memory_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = iter([Timing(reason="a step needs 9 GB"), Timing(steps=(1.0,))])
    monkeypatch.setattr(calibrate, "short_run", lambda _: next(found))
    config = configure(*TINY)
    assert calibrate.timing("a", config).reason
    for _ in range(2):
        assert calibrate.timing("a", config).step_seconds == 1
    assert calibrate.timing("a", replace(config, deterministic=True), measure=False) is None, "its steps are slower"
    monkeypatch.setattr(kept, "source", lambda _: "others")
    assert calibrate.timing("a", config, measure=False) is None, "the compiler is told something else, perhaps"
