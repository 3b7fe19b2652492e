"""`ablations bench`, and what benchmarks/ measures: what is counted, and that measuring changes nothing."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from ablations.costs import bench, measure
from ablations.costs.cost import Ceilings, Figures, Timing
from ablations.networks import count
from ablations.terminal import units
from ablations.training import programs
from ablations_tests.conftest import FEW_IMAGES, ONE_UNIT, ROOT, configure, here
from benchmarks import compare, growth, sweep
from benchmarks.cases import CPU, CUDA, Case

TINY = Case("resnet20", "original", "digits", 16, "f32", {"depth": 8})


def test_traffic_is_what_each_convolution_and_product_reads_and_writes():
    def loop(x, kernel, head):
        def once(x, _):
            return jax.lax.conv(x, kernel, (1, 1), "SAME"), None

        x, _ = jax.lax.scan(once, x, length=3)
        return jnp.sin(x).sum((2, 3)) @ head

    def bytes_of(dtype):
        shapes = (2, 5, 4, 4), (5, 5, 3, 3), (5, 7)
        jaxpr = jax.make_jaxpr(loop)(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))
        return count.traffic(jaxpr.jaxpr)

    maps, kernel, product = 2 * 5 * 4 * 4, 5 * 5 * 3 * 3, 2 * 5 + 5 * 7 + 2 * 7
    assert bytes_of(jnp.float32) == 4 * (3 * (2 * maps + kernel) + product)
    assert bytes_of(jnp.bfloat16) == bytes_of(jnp.float32) // 2


def test_the_ceiling_of_products_is_that_of_their_precision(monkeypatch):
    programs = []
    monkeypatch.setattr(measure, "_fastest", lambda program, *arrays: programs.append(program.lower(*arrays)) or 1.0)
    measure.ceilings(configure("matmul_precision=highest"))
    assert "precision = [HIGHEST, HIGHEST]" in programs[0].as_text()


def test_rates_follow_from_the_median_step():
    figures = Figures(1, macs=1000, traffic_bytes=640, program="", weights_bytes=1, state_bytes=1)
    timing = Timing(steps=(4.0, 0.5, 0.25, 0.5, 0.125))
    result = bench.Result(configure("recipe.batch_size=32"), figures, timing, Ceilings("cpu", "f32", 1e6, 1e4))
    assert (result.images_per_second, result.bytes_per_second) == (64, 1280)
    assert result.flop_per_second == 2 * 6 * 1000 * 32
    assert result.quartiles == (0.25, 0.5)
    [cells] = bench.cells([result])
    assert (cells["FLOP/s"], cells["step"]) == ("384 kFLOP/s (38 %)", "500 ms")
    config = replace(result.config, packing="vmap", runs_at_a_time=3)
    packed = replace(result, config=config)
    assert (packed.images_per_second, packed.flop_per_second) == (3 * 64, 3 * result.flop_per_second)
    assert packed.name == f"{result.name}, 3 runs, vmap"
    exact = replace(result, config=replace(result.config, matmul_precision="highest", deterministic=True))
    assert exact.name == f"{result.name}, matmul highest, deterministic"
    measured_here = "of the ceilings measured here (f32{}, 1 threads on a CPU)"
    for found, said in ((result, ""), (exact, ", matmul_precision=highest")):
        assert any(measured_here.format(said) in note for note in bench.notes([result, exact])), found.name
    unknown = replace(result, timing=Timing(reason="killed"))
    assert bench.cells([unknown])[0]["images/s"] == "-"
    assert "Not measured: resnet110, original, identity, 8x8, batch 32, f32: killed." in bench.notes([unknown])


def test_the_command_measures_what_it_says(briefly, networks_read_here, tmp_path):
    out = tmp_path / "bench.json"
    settings = [*ONE_UNIT, "recipe.batch_size=8", "pixels=4", "precision=bf16", "seed=0,1"]
    done = here("bench", *settings, "format=json", f"out={out}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "measuring: 1 of 1 configurations" in done.stderr  # seeds are no configurations
    found = json.loads(out.read_text())
    [result] = found["results"]
    assert result["config"]["precision"] == result["ceilings"]["precision"] == "bf16" and result["pixels"] == 4
    assert result["images_per_second"] == pytest.approx(8 / result["step_seconds"])
    timing, seconds = result["timing"], ("trace_seconds", "lower_seconds", "compile_seconds", "cached_seconds")
    assert all(timing[name] > 0 for name in seconds)
    assert timing["compile_seconds"] < timing["start_seconds"]  # of which it is a part
    assert timing["peak_bytes"] > timing["program_bytes"] > timing["temporary_bytes"] > 0
    assert 0 < result["flop_per_second"] < result["ceilings"]["flop_per_second"]
    assert {"python", "jax"} <= found["versions"].keys() and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("setting", ["pixels=0", "pixels=wide", "format=csv", "--quick"])
def test_refuses_in_one_message(setting, tmp_path):
    done = here("bench", setting, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"ablations: {setting}: ") and done.stderr.count("\n") == 1


def test_a_ratio_above_one_says_that_ours_is_faster():
    found = compare.result(TINY, "eager default", ours=[1.0, 2.0, 1.0], theirs=[2.0, 3.0, 5.0])
    [cells] = compare.cells([found])
    assert (cells["ours / PyTorch"], cells["spread"], cells["rounds"]) == ("2.00", "1.50 ... 5.00", "3")
    assert (cells["ours, images/s"], cells["PyTorch, images/s"]) == ("16", "5")
    [cells] = compare.cells([compare.result(TINY, "eager default", [], [], "not ready: no time")])
    assert cells["ours / PyTorch"] == "not ready: no time"


def test_the_cases_are_those_that_a_command_would_make():
    assert len(set(CPU)) == len(CPU) and len(set(CUDA)) == len(CUDA)
    for case in {(case.model, case.order, case.data, str(case.settings)): case for case in (*CPU, *CUDA)}.values():
        settings = [f"model={case.model}", f"data={case.data}", *([f"activation={case.order}"] if case.order else [])]
        settings += [f"model.{key}={value}" for key, value in case.settings.items()]
        composed = configure(*settings, *(["data.colour=none"] if case.data == "imagenet" else []))  # PyTorch has none
        config = case.config(1, 20)
        for part in ("model", "activation", "data", "shortcut"):
            assert getattr(config, part) == getattr(composed, part)


def test_sides_run_in_turn_and_a_side_without_time_is_named(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'", exc_type=ImportError)
    monkeypatch.setattr(compare, "VARIANTS", [("eager", "channels_last"), ("compile", "default")])
    monkeypatch.setattr(compare, "SHALLOW", {"cpu": 0})
    settings = SimpleNamespace(threads=1, device="cpu", rounds=2, seconds=0.05, ready=120, compile="shallow")
    eager, compiled = compare.compare([TINY], settings, time.monotonic() + 120)
    assert len(eager["ratios"]) == 2 and all(ratio > 0 for ratio in eager["ratios"]), eager["reason"]
    assert compiled["reason"] == "not run: --compile all" and compiled["ratios"] == []
    settings.ready = 0
    found = compare.compare([TINY], settings, time.monotonic() + 1)
    assert [one["reason"] for one in found] == ["not ready: no time", "not run: --compile all"]


def test_our_side_needs_jax_flax_and_optax_only():
    code = (
        "import sys\n"
        "absent = 'hydra omegaconf wandb tensorflow_datasets sklearn safetensors matplotlib torch array_record PIL'\n"
        "sys.modules |= dict.fromkeys(absent.split())\n"
        "import benchmarks.compare\n"
        "from benchmarks import cases, worker\n"
        "run, unit, _ = worker.prepare_ours(cases.Case('resnet20', 'original', 'digits', 8, 'bf16', {'depth': 8}), 1, 'cpu')\n"
        "run(2)\n"
        "print(unit)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_many_runs_in_one_process_hold_no_more_than_two(monkeypatch):
    monkeypatch.setattr(programs, "_compiled", lru_cache(maxsize=1)(programs._compiled.__wrapped__))
    rows, _ = growth.runs(configure(*ONE_UNIT, *FEW_IMAGES), 3)
    second, last = rows[1], rows[-1]
    assert (second["runs"], last["runs"]) == ("2", "3")
    for held in ("open files", "compiled programs", "arrays"):
        assert second[held] == last[held]


def test_growth_is_a_power_of_depth():
    found = {20: Timing(steps=(1.0,), temporary_bytes=10), 80: Timing(steps=(4.0,), temporary_bytes=20)}
    assert growth._power(found, 20, 80, "step_seconds") == "1.00"
    assert growth._power(found, 20, 80, "temporary_bytes") == "0.50"
    assert growth._power(found, 20, 80, "start_seconds") == "-"
    config = growth.change(growth.change(TINY.config(1, 1), "unroll", "true"), "model.padding", "both")
    assert config.unroll is True and config.model.padding == "both"
    assert growth.at_depth(config, 1202).model.units == (200, 200, 200)


@pytest.mark.parametrize(
    "amount,text", [(None, "-"), (31.44e9, "31.4 GFLOP/s"), (7.9e14, "790 TFLOP/s"), (12, "12 FLOP/s")]
)
def test_rates(amount, text):
    assert units.rate(amount, "FLOP/s") == text


class Stands:
    """A side that takes no time, and dies in this round."""

    def __init__(self, variant, dies):
        self.name, self.rounds, self.dies = " ".join(variant or ("ours",)), 0, dies
        self.process = SimpleNamespace(kill=lambda: None)

    def prepare(self, *_):
        pass

    def step_seconds(self, _until):
        self.rounds += 1
        if self.rounds == self.dies:
            raise compare.NotRun(f"{self.name} has died")
        return float(self.rounds)

    def stop(self):
        pass


def test_a_side_that_dies_takes_no_other_with_it(monkeypatch):
    dies = {("eager", "default"): 1, ("eager", "channels_last"): 3}
    monkeypatch.setattr(compare, "VARIANTS", [*dies, ("compile", "default")])
    monkeypatch.setattr(compare, "Side", lambda case, variant, *_: Stands(variant, dies.get(variant)))
    settings = SimpleNamespace(threads=1, device="cpu", rounds=4, seconds=0, ready=0, compile="all")
    first, third, never = compare.compare([TINY], settings, time.monotonic())
    assert first["reason"] == "not run: eager default has died" and first["ratios"] == []
    assert third["ratios"] == [1, 1] and never["ratios"] == [1, 1, 1, 1] and never["reason"] == ""
    dies[None] = 1
    assert [one["reason"] for one in compare.compare([TINY], settings, 0)] == ["not run: ours has died"] * 3


def test_a_sweep_of_which_a_process_fails_leaves_none_running(monkeypatch):
    killed, codes = [], iter((1, 0))

    def process(command, env):
        code = next(codes)
        return SimpleNamespace(args=command, returncode=code, wait=lambda: code, kill=lambda: killed.append(code))

    monkeypatch.setattr(sweep.subprocess, "Popen", process)
    settings = SimpleNamespace(threads=2, model="resnet20", data="digits", batch=8, steps=1, rows=2)
    with pytest.raises(subprocess.CalledProcessError):
        sweep.seconds("ours", settings)
    assert killed == [1, 0]
