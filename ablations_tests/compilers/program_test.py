"""The figures of a program and the bounds that follow, computed by hand."""

from dataclasses import asdict, replace

import pytest

from ablations.compilers import kernel_table
from ablations.compilers.hlo import Kernel
from ablations.compilers.program import Bound, Compiled, Program, bound
from ablations.compilers.target import choose

GPU = Program(
    steps=100,
    temporary_bytes=10,
    peak_bytes=20,
    argument_bytes=30,
    needed_bytes=40,
    kernels=(
        Kernel("conv", "convolution", 10, 4e6, "bf16", None, "networks/layers.py:1"),
        Kernel("tiny", "elementwise", 30, 99_999, "f32", None, ""),
        Kernel("edge", "elementwise", 0.5, 100_000, "f32", None, ""),
        Kernel("sum", "collective", 2, 8_000, "f32", None, ""),
    ),
)
TPU = replace(
    GPU,
    kernels=(
        Kernel("conv", "convolution", 10, 4e6, "bf16", 60_000, ""),
        Kernel("reduce", "reduce", 5, 1e6, "f32", 30_000, ""),
        Kernel("copy-start", "copy", 7, 2e6, "f32", None, ""),
    ),
)


def test_counts():
    assert (GPU.kernel_count, GPU.small_count, GPU.cycles) == (42.5, 32, None)
    assert GPU.traffic_bytes == 10 * 4e6 + 30 * 99_999 + 50_000 + 16_000
    assert GPU.collectives == (2, 8_000, ("f32",)), "a device hands in half of what it sends and receives"


def test_counts_of_a_tpu_are_of_what_has_cycles_and_its_bytes_of_all():
    assert (TPU.kernel_count, TPU.cycles, TPU.traffic_bytes) == (15, 750_000, 59e6)
    assert TPU.collectives == (0, 0, ())


def test_the_bound_of_a_gpu_is_the_longest_of_bytes_flop_and_launches():
    h100 = choose("cuda", "h100")
    found = bound(GPU, h100, 989.5e9, "bf16")
    assert found.parts == pytest.approx({"bytes": 43_065_970 / 3.35e12, "FLOP": 1e-3, "launches": 85e-6})
    assert (found.seconds, found.reason) == (pytest.approx(1e-3), "FLOP")
    assert bound(GPU, h100, 989.5e9, "f32").seconds == pytest.approx(989.5 / 494.5e3)
    few = bound(GPU, h100, 1e6, "bf16")
    assert (few.seconds, few.reason) == (pytest.approx(85e-6), "launches")
    assert (few.without("launches").seconds, few.without("launches").reason) == (
        pytest.approx(12.86e-6, rel=1e-3),
        "bytes",
    )


def test_the_bound_of_a_tpu_is_the_longest_of_bytes_flop_and_cycles():
    found = bound(TPU, choose("tpu", topology="v5e:1x1"), 1e9, "bf16")
    assert found.parts == pytest.approx({"bytes": 59e6 / 819e9, "FLOP": 1e9 / 197e12, "cycles": 750_000 / 1.5e9})
    assert found.reason == "cycles"
    assert "cycles" not in bound(TPU, choose("tpu", topology="v6e:1x1"), 1e9, "bf16").parts, "its clock is not known"


def test_a_bound_without_what_it_does_not_have():
    assert Bound({"bytes": 1.0}).without("launches") == Bound({"bytes": 1.0})


def test_what_is_written_comes_back():
    compiled = Compiled(GPU, "module", "HloModule")
    assert Compiled.from_json(asdict(compiled)) == compiled


def test_the_heaviest_kernels_and_kinds_come_first():
    assert [kernel.name for kernel in GPU.heaviest(2)] == ["conv", "tiny"]
    assert [kernel.name for kernel in TPU.heaviest(3)] == ["conv", "reduce", "copy-start"]
    twice = replace(GPU, kernels=(*GPU.kernels, replace(GPU.kernels[0], name="conv.1", times=2)))
    assert [(kernel.name, kernel.times) for kernel in twice.heaviest(1)] == [("conv", 12)], "those that are alike"
    assert list(GPU.kinds()) == ["convolution", "elementwise", "collective"]
    assert GPU.kinds()["elementwise"] == (30.5, 30 * 99_999 + 50_000, 0)


def test_tables():
    [row, *_] = kernel_table.heaviest(GPU, 1)
    assert row == {
        "kernel": "conv",
        "kind": "convolution",
        "times a step": "10",
        "bytes": "4.0 MB",
        "bytes a step": "40.0 MB",
        "result": "bf16",
        "source": "networks/layers.py:1",
    }
    assert kernel_table.kinds(GPU)[-1] == {"kind": "all", "kernels": "42", "bytes a step": "43.1 MB"}
    assert kernel_table.heaviest(TPU, 1)[0]["cycles a step"] == "0.6 M"
    assert kernel_table.as_csv(TPU).splitlines()[:2] == [
        "kernel,kind,times_a_step,bytes,cycles,dtype,source",
        "conv,convolution,10,4000000,60000,bf16,",
    ]
