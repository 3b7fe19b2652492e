"""Real programs for an H100, compiled without one. Needs the extra aot; skipped where it is not installed."""

import csv
import io
import json
import re

import pytest

from ablations.compilers import hlo
from ablations.system import machine
from ablations_tests.conftest import ablations

pytestmark = pytest.mark.skipif(
    not machine.installed("cuda"), reason="XLA's compiler for GPUs is not installed: pip install -e '.[aot]'"
)
SMALL = ("model=resnet20", "model.depth=8", "data=cifar10", "recipe=paper", "precision=bf16")
CONVOLUTIONS = 3 * (1 + 3 * 2) - 1  # forwards, for the input and for the kernel; the first one's input has no gradient


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("aot")


def test_a_program_for_an_h100(folder):
    done = ablations("inspect", "platform=cuda", "target=h100", *SMALL, "out=h100", "format=csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    hlo, stablehlo = (folder / "h100" / "step.hlo").read_text(), (folder / "h100" / "step.stablehlo").read_text()
    assert hlo.startswith("HloModule") and "stablehlo.convolution" in stablehlo
    kernels = list(
        csv.DictReader(io.StringIO(done.stdout.partition("kernel,kind")[1] + done.stdout.partition("kernel,kind")[2]))
    )
    convolutions = [kernel for kernel in kernels if kernel["kind"] == "convolution"]
    assert sum(float(kernel["times_a_step"]) for kernel in convolutions) == CONVOLUTIONS
    assert {kernel["source"].partition(":")[0] for kernel in convolutions} == {"networks/kernels/convolution.py"}
    assert set(re.findall(r"dim_labels=(\S+?)[,\s]", hlo)) == {"b01f_o01i->b01f"}, "channels last"
    assert set(re.findall(r'custom_call_target="(__cudnn\$\w+)"', hlo)) == {
        "__cudnn$convForward", "__cudnn$convBackwardInput", "__cudnn$convBackwardFilter",
    }  # fmt: skip


def test_its_plan_and_that_it_is_kept(folder):
    words = ("plan", "platform=cuda", "target=h100", *SMALL, "format=csv")
    done = ablations(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    [line] = csv.DictReader(io.StringIO(done.stdout))
    assert 100 < float(line["kernels"]) < 200 and 0.2e9 < int(line["traffic_bytes"]) < 0.5e9, json.dumps(line)
    assert line["steps_a_call"] == "98" and line["collectives"] == "0", "an epoch, 391 steps, is four calls"
    again = ablations(*words, cwd=folder)
    assert again.stdout == done.stdout and "compiling" not in again.stderr


MIDDLE = ("model=resnet20", "data=cifar10", "recipe=paper", "precision=bf16")  # stacks of a first unit and two others


def test_a_step_has_no_more_kernels_bytes_and_sums_than_it_needs(folder):
    """Ceilings a twentieth above what was counted: 320 kernels, 831 MB; on four devices 40 sums of bf16 and f32."""
    words = ("plan", "platform=cuda", "target=h100", "devices=1,4", "unroll=auto", *MIDDLE, "format=csv")
    done = ablations(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    alone, four = csv.DictReader(io.StringIO(done.stdout))
    assert float(alone["kernels"]) < 336 and int(alone["traffic_bytes"]) < 872e6
    assert (alone["collectives"], four["devices"]) == ("0", "4")
    assert 0 < float(four["collectives"]) < 42 and float(four["kernels"]) < 443
    assert int(four["traffic_bytes"]) < int(alone["traffic_bytes"]), "each has a quarter of the images"
    assert four["collective_dtypes"] == "bf16 f32 s32", (
        "gradients of kernels; other sums; the number of wrong predictions"
    )


def test_a_loop_turns_no_map_around(folder):
    """All convolutions are in the layout of the maps, so no copy in a loop is as large as a map of one image."""
    done = ablations("inspect", "platform=cuda", "target=h100", *MIDDLE, "unroll=false", "out=loop", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "loop" / "step.hlo").read_text()
    assert set(re.findall(r"dim_labels=([^,]*)", text)) == {"b01f_o01i->b01f"}
    loops = [kernel for kernel in hlo.read(text).kernels(100) if kernel.times > 1]
    assert len(loops) > 100 and not [k for k in loops if k.kind == "copy" and k.size > 2 * 2 * 32 * 32 * 16]
