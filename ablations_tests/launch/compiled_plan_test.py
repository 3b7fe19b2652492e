"""`ablations plan platform=...`: what it shares, bounds, prints and refuses. No compiler is needed for any of it."""

import csv
import io
from dataclasses import replace

import pytest

from ablations.compilers.hlo import Kernel
from ablations.compilers.program import Program
from ablations.compilers.target import choose
from ablations.config import compose
from ablations.config import jobs as sweep
from ablations.costs import calibrate, compiled
from ablations.costs.calibrate import Died
from ablations.costs.cost import Figures
from ablations.launch import compiled_plan, compiled_table
from ablations.system import machine
from ablations.terminal import grid
from ablations_tests.conftest import configure, here

FIGURES = Figures(parameters=10, macs=10**9, program="a", traffic_bytes=8, weights_bytes=40, state_bytes=90)
KERNELS = (
    Kernel("conv", "convolution", 1000, 4e6, "bf16", None, ""),
    Kernel("sum", "collective", 10, 20_000, "f32", None, ""),
)
PROGRAM = Program(100, 2_000_000, 3_000_000, 1_000_000, 8_000_000_000, KERNELS)
H100, V5E = choose("cuda", "h100"), choose("tpu", topology="v5e:2x2")
SMALL = ("recipe.total_steps=1000", "recipe.evaluate_every=1000", "recipe.batch_size=64", "precision=bf16")


@pytest.fixture
def known(monkeypatch):
    """Compilers that are installed, and what they answer; the list of what they are asked."""
    asked = []

    def programs(lines, target):
        asked.extend((config.devices, target.name) for config, _ in lines)
        kernels = KERNELS if target.platform == "cuda" else tuple(replace(k, cycles=3_000) for k in KERNELS)
        return [replace(PROGRAM, kernels=kernels) for _ in lines]

    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    monkeypatch.setattr(calibrate, "figures", lambda configs, target: [FIGURES for _ in configs])
    monkeypatch.setattr(compiled, "programs", programs)
    return asked


def planned(target, *overrides):
    with compose.hydra() as context:
        return compiled_plan.make(sweep.plan(context, [*SMALL, *overrides]), target)


def test_the_cells_of_a_gpu(known):
    found = planned(H100, "seeds=2")
    [row] = compiled_table.cells(found)
    assert row | {"seeds": str(row["seeds"])} == {
        "row": "recipe.total_steps=1000,recipe.evaluate_every=1000,recipe.batch_size=64,precision=bf16",
        "program": "1",
        "temporary": "2.0 MB",
        "peak": "3.0 MB",
        "fits": "yes, 10 %",
        "kernels": "1,010",
        "small": "10",
        "bytes a step": "4.0 GB",
        "a step at least": "2.02 ms: launches",  # 1,010 x 2 us
        "without launches": "1.19 ms: bytes",  # 4.0 GB at 3.35 TB/s
        "a run at least": "2 s",
        "seeds": "0-1 missing",
    }
    assert found.seconds == pytest.approx(2 * 1000 * 2.02e-3)
    assert compiled_table.title(found).endswith("bf16, for 1 x NVIDIA H100 SXM 80 GB")


def test_the_notes_say_what_f32_means(known):
    def said(target, *settings):
        return compiled_table.notes(planned(target, "precision=f32", *settings))[-1]

    assert said(H100).endswith(" Products of f32: TF32, XLA's default.")
    assert said(V5E).endswith(" Products of f32: one pass of bf16, XLA's default.")
    exact = said(V5E, "matmul_precision=highest")
    assert exact.endswith("with matmul_precision=highest are bounded as if each took one pass of bf16.")
    assert "XLA's default" not in exact


def test_the_cells_of_tpus_which_are_all_used(known):
    found = planned(V5E)
    [row] = compiled_table.cells(found)
    assert row["collectives"] == "10 (100 kB, f32)" and row["cycles"] == "3.0 M"
    assert row["a step at least"] == "4.88 ms: bytes", "4.0 GB at 819 GB/s; the cycles are 2 ms"
    assert "without launches" not in row and row["fits"] == "yes, 50 %"
    assert known == [(4, "v5e:2x2")] and compiled_table.title(found).endswith("for 4 x TPU v5e")
    assert found.lines[0].bound.parts["FLOP"] == pytest.approx(6 * 1e9 * 64 / 4 / 197e12), "each has a part of a batch"


def test_rows_that_share_a_program_say_so_and_numbers_of_devices_are_rows(known):
    rows = compiled_table.cells(planned(H100, "shortcut=identity,dropout", "devices=1,4"))
    assert [row["program"] for row in rows] == ["1"] * 4 and [row["devices"] for row in rows] == ["1", "4", "1", "4"]
    assert [devices for devices, _ in known] == [1, 4, 1, 4]


def test_notes_say_whose_figures_these_are_and_what_they_rest_on(known):
    text = "\n".join(compiled_table.notes(planned(H100)))
    for words in (
        "1 run: 1 missing. 1 distinct compiled training program.",
        "To go: at least 2 s for all training steps",
        "which need not be here (jax==",
        "nothing was run",
        "a call of 100 steps",
        "of 80.0 GB",
        "bytes at 3.35 TB/s, FLOP at 990 TFLOP/s (bf16), 2 us a kernel (https://www.nvidia.com",
        "are an assumption",
        "Their time is not counted.",
    ):
        assert words in text
    text = "\n".join(compiled_table.notes(planned(V5E, "precision=f32")))
    assert "cycles at 1.50 GHz" in text and "one pass of bf16" in text and "assumption" not in text
    assert "is not published" in "\n".join(compiled_table.notes(planned(choose("tpu", topology="v6e:1x1"))))


def test_what_a_compiler_refuses_is_a_row_with_its_words(known, monkeypatch):
    monkeypatch.setattr(compiled, "programs", lambda lines, target: ["RESOURCE_EXHAUSTED: 17 GB of 16 GB."])
    found = planned(V5E)
    [row] = compiled_table.cells(found)
    assert (
        row["kernels"] == row["a step at least"] == row["a run at least"] == "-"
        and row["fits"] == "no"
        and found.seconds is None
    )
    assert "at least" not in "".join(compiled_table.notes(found))
    assert compiled_table.notes(found)[-1].endswith("RESOURCE_EXHAUSTED: 17 GB of 16 GB.")
    assert len({len(line) for line in csv.reader(io.StringIO(compiled_table.as_csv(found)))}) == 1


def test_csv_has_a_line_for_each_run_in_plain_numbers(known):
    lines = list(csv.DictReader(io.StringIO(compiled_table.as_csv(planned(H100, "seeds=2", "devices=2")))))
    assert [line["seed"] for line in lines] == ["0", "1"]
    line = lines[0]
    assert (line["target"], line["devices"], line["kernels"], line["small_kernels"]) == ("h100", "2", "1010", "10")
    assert (line["needed_bytes"], line["memory_bytes"], line["collective_bytes"]) == (
        "8000000000",
        "80000000000",
        "100000",
    )
    assert line["flop"] == str(6 * 10**9 * 64 // 2) and line["bound"] == "launches" and line["cycles"] == ""
    assert float(line["run_seconds"]) == pytest.approx(2.02)


def test_markdown(known):
    found = planned(H100)
    text = grid.markdown(compiled_table.title(found), compiled_table.cells(found), compiled_table.notes(found))
    assert "| a step at least   |" in text and "2.02 ms: launches" in text


@pytest.mark.parametrize(
    "words,message",
    [
        ("plan target=h100", "target=h100: say what to compile for, too: platform=cuda"),
        ("plan topology=v5e:2x2", "topology=v5e:2x2: say what to compile for, too: platform=tpu"),
        ("plan platform=gpu", "platform=gpu: legal are cuda, tpu"),
        ("plan platform=cuda target=h100 devices=16 recipe.batch_size=128", "one host has at most 8"),
        ("plan platform=cuda target=h100 devices=3", "recipe.batch_size=32: does not divide among 3 devices"),
        ("plan platform=tpu topology=v5e:2x4 recipe.batch_size=100", "does not divide among 8 devices; 96 and 104 do"),
        ("inspect model=resnet20", "inspect needs platform=cuda target=h100, or platform=tpu topology=v5e:1x1"),
        ("inspect platform=cuda target=h100 seed=0,1", "these settings are 2 runs; give one value of each"),
        ("inspect platform=cuda target=h100 top=0", "top=0: give the number of kernels to print"),
        ("inspect platform=cuda target=h100 format=json", "format=json: legal are terminal, markdown, csv"),
        ("inspect platform=cuda target=h100 --sed", "--sed: unknown option; see ablations inspect --help"),
    ],
)  # fmt: skip
def test_refuses_in_one_message(words, message, known, tmp_path):
    done = here(*words.split(), cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["plan", "inspect"])
@pytest.mark.parametrize(
    "words,extra", [("platform=cuda target=h100", "aot"), ("platform=tpu topology=v5e:2x2", "aot-tpu")]
)
def test_without_a_compiler_there_is_one_message(command, words, extra, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    done = here(command, *words.split(), cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"install it with pip install -e '.[{extra}]'\n")


def test_a_program_is_compiled_once_and_one_that_is_refused_is_tried_again(monkeypatch, tmp_path):
    from ablations.compilers.program import Compiled

    answers = iter([Died("no room"), Compiled(PROGRAM, "a", "b")])

    def request(kind, configs, target):
        answer = next(answers)
        if isinstance(answer, Died):
            raise answer
        return iter([answer])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "request", request)
    lines = [(configure(), FIGURES)] * 2  # the same program
    assert compiled.programs(lines, H100) == ["no room"] * 2
    assert compiled.programs(lines, H100) == [PROGRAM] * 2
    assert compiled.step(*lines[0], H100) == Compiled(PROGRAM, "a", "b"), "with its texts, and nothing is asked"
    with pytest.raises(StopIteration):
        compiled.step(*lines[0], choose("cuda", "a100"))
    with pytest.raises(StopIteration):
        compiled.step(configure("deterministic=true"), FIGURES, H100)
