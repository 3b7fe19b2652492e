"""Targets: their figures, what XLA is told of a GPU, and what is said to a user who asks for another."""

import re

import pytest

from ablations.compilers import target
from ablations.compilers.target import choose
from ablations.errors import UserError
from ablations.system import machine

GPUS, TPUS = ("a100", "h100", "h200", "b200", "l4", "rtx4090"), ("v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2")
EVERY = [*(("cuda", name, "") for name in GPUS), *(("tpu", "", name) for name in TPUS)]


@pytest.mark.parametrize("asked", EVERY)
def test_every_target_has_its_figures_and_their_source(asked):
    found = choose(*asked)
    assert found.source.startswith("https://")
    assert 10e9 < found.memory_bytes < 200e9 and 250e9 < found.bytes_per_second < 10e12
    assert 50e12 < found.flop_per_second["f32"] <= found.flop_per_second["bf16"] < 3e15
    assert choose(**found.asked) == found, "as a process that compiles is told"


def test_the_figures_of_a_data_sheet():
    h100, v5e = choose("cuda", "h100"), choose("tpu", topology="v5e:2x4")
    assert (h100.memory_bytes, h100.bytes_per_second) == (80e9, 3.35e12)
    assert h100.flop_per_second == {"bf16": 989.5e12, "f32": 494.5e12}
    assert (v5e.devices, v5e.bytes_per_second, v5e.flop_per_second["bf16"]) == (8, 819e9, 197e12)


def test_a_tpus_clock_is_the_one_that_its_peak_needs():
    """2 FLOP x 128 x 128 multipliers x the number of matrix units of a device: 4 for each TensorCore."""
    for topology, units in (("v4:2x2x1", 4), ("v5e:1x1", 4), ("v5p:2x2x1", 8)):
        found = choose("tpu", topology=topology)
        assert found.cycles_per_second * 2 * 128 * 128 * units == pytest.approx(found.flop_per_second["bf16"], rel=0.01)


def test_a_chip_of_two_devices_is_shared():
    assert choose("tpu", topology="v4:2x2x1").devices == 8 and choose("tpu", topology="v5p:2x2x1").devices == 4
    assert choose("tpu", topology="v4:2x2x1").bytes_per_second == 600e9


def test_what_xla_is_told_of_a_gpu():
    text = choose("cuda", "h100").device_info
    fields = dict(re.findall(r"(\w+): ([\w.]+)", text))
    assert fields["core_count"] == "132" and fields["shared_memory_per_block_optin"] == "232448"
    assert fields["memory_bandwidth"] == "3350000000000" and fields["l2_cache_size"] == "52428800"
    assert "cuda_compute_capability { major: 8 minor: 9 }" in choose("cuda", "l4").device_info
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    "asked,message",
    [
        (("rocm", "", ""), "platform=rocm: legal are cuda, tpu"),
        (("cuda", "", ""), "platform=cuda: choose a GPU with target=...; legal are a100, h100, h200, b200, l4, rtx4090"),
        (("cuda", "h300", ""), "target=h300: unknown; legal are a100, h100"),
        (("cuda", "h100", "v5e:2x2"), "topology=v5e:2x2: TPUs have one; choose a GPU with target="),
        (("tpu", "", ""), "platform=tpu: choose TPUs with topology=...; legal are v4:2x2x1 to 4x4x4, v5e:1x1"),
        (("tpu", "h100", ""), "target=h100: this chooses a GPU; choose TPUs with topology=..., such as v5e:2x2"),
        (("tpu", "", "v9:2x2"), "topology=v9:2x2: unknown; legal are v4:2x2x1"),
        (("tpu", "", "v5e"), "topology=v5e: legal are v5e:1x1, v5e:2x2, v5e:2x4"),
        (("tpu", "", "v5e:3x3"), "topology=v5e:3x3: legal are v5e:1x1, v5e:2x2"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_with_what_there_is(asked, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        choose(*asked)


def test_a_run_takes_one_gpu_or_all_tpus_and_no_more_than_there_are():
    h100, v5e = choose("cuda", "h100"), choose("tpu", topology="v5e:2x2")
    assert [h100.spread(None), h100.spread(4), v5e.spread(None), v5e.spread(1)] == [1, 4, 4, 1]
    with pytest.raises(
        UserError, match="^devices=16: .*target=h100: one host has at most 8; choose at most that many$"
    ):
        h100.spread(16)
    with pytest.raises(UserError, match="^devices=8: .*topology=v5e:2x2: this topology has 4; .*a larger topology$"):
        v5e.spread(8)


@pytest.mark.parametrize("asked,extra", [(("cuda", "h100", ""), "aot"), (("tpu", "", "v5e:2x2"), "aot-tpu")])
def test_a_missing_compiler_is_named_with_the_command_that_installs_it(asked, extra, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"not installed.* pip install -e '\.\[{extra}\]'$"):
        choose(*asked).check_compiler()
    monkeypatch.setattr(machine, "find_spec", lambda name: name in ("jax_cuda13_plugin", "libtpu"))
    choose(*asked).check_compiler()


def test_versions_are_those_of_the_platforms_compilers(monkeypatch):
    class Installed:
        def __init__(self, name, version):
            self.metadata, self.version = {"Name": name}, version

    packages = [Installed("libtpu", "0.1"), Installed("jax-cuda12-plugin", "0.9"), Installed("numpy", "2")]
    monkeypatch.setattr(target.metadata, "distributions", lambda: packages)
    assert target.versions("cuda") == ["jax-cuda12-plugin==0.9"] and target.versions("tpu") == ["libtpu==0.1"]
