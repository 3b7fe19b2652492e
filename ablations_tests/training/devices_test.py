"""Several devices: the numbers of one, for each choice of BN's statistics, and nothing said between devices needlessly."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from ablations.config.run import from_resolved
from ablations.data import catalogue
from ablations.errors import UserError
from ablations.runs.record import read_record
from ablations.training.checkpoint import Checkpoints
from ablations.training.devices import Devices
from ablations.training.steps import Steps
from ablations_tests.conftest import COMPILE_FAST, ROOT, ablations, configure, here
from ablations_tests.simulated import COLLECTIVES, GROUPS
from benchmarks import devices

EIGHT = {"XLA_FLAGS": f"--xla_force_host_platform_device_count=8 {COMPILE_FAST}"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a few steps on eight devices and on one give."""
    out = tmp_path_factory.mktemp("simulated") / "found.npz"
    command = [sys.executable, "-m", "ablations_tests.simulated", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | EIGHT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


@pytest.mark.parametrize("asked", GROUPS)
def test_steps_on_eight_devices_are_those_of_one(asked, trained):
    """BN over the whole batch, over a device's part of it, which is 8 images, and over groups of 32 on four devices."""

    def both(key):
        return trained[f"{asked} eight {key}"], trained[f"{asked} one {key}"]

    for key in ("losses", "params", "others", *(("exact", "logits") if asked == "32" else ())):
        np.testing.assert_allclose(*both(key), atol=1e-5, rtol=1e-5, err_msg=key)
    np.testing.assert_array_equal(*both("wrong"))
    assert [int(group) for group in both("group")] == [GROUPS[asked] or 0] * 2


def test_the_choices_of_bn_are_not_the_same(trained):
    losses = [trained[f"{asked} eight losses"] for asked in GROUPS]
    for i, one in enumerate(losses):
        for other in losses[:i]:
            assert np.abs(one - other).max() > 1e-3


def test_devices_tell_each_other_sums_only_and_none_for_bn_within_a_device(trained):
    count = {asked: {name: int(trained[f"{asked} eight {name}"]) for name in COLLECTIVES} for asked in GROUPS}
    assert all(of[name] == 0 for of in count.values() for name in COLLECTIVES if name != "all-reduce")
    assert count["device"]["all-reduce"] <= 2, "gradients, the loss and running means, combined"
    assert count["null"]["all-reduce"] > 10 and count["32"]["all-reduce"] > 10
    assert all(trained[f"{asked} one {name}"] == 0 for asked in GROUPS for name in COLLECTIVES)


def test_a_batch_that_does_not_divide_is_refused_with_those_that_do():
    eight = Devices((jax.devices()[0],) * 8)
    with pytest.raises(UserError, match="among 8 devices; 96 and 104 do, as every multiple of 8"):
        eight.check(100)
    with pytest.raises(UserError, match="among 8 devices; 8 does"):
        eight.check(5)
    config = configure("recipe.batch_size=100")
    with pytest.raises(UserError, match="96 and 104 do"):
        Steps(config, catalogue.load(config.data), eight)
    eight.check(64)
    with pytest.raises(UserError, match="among 3 devices; 63 and 66 do"):
        configure("devices=3", "recipe.batch_size=64")
    with pytest.raises(UserError, match="devices=2: choose at most 1, the number that is here"):
        Devices.configured(configure("devices=2"))
    with pytest.raises(UserError, match="choose packing=single"):
        Devices.configured(configure("devices=2", "packing=vmap", "runs_at_a_time=2"))


def test_what_a_device_had_is_recorded_as_a_number_of_images():
    config = configure("recipe.bn_group=device", "recipe.batch_size=64")
    assert config.for_devices(8).recipe.bn_group == 8 and config.for_devices(1).recipe.bn_group is None
    assert config.matches(config.for_devices(8).resolved()) and config.matches(config.for_devices(1).resolved())
    assert not config.for_devices(4).matches(config.for_devices(8).resolved())
    assert not config.matches(configure("recipe.batch_size=32", "recipe.bn_group=8").resolved())
    assert from_resolved(config.for_devices(8).resolved()).recipe.bn_group == 8
    assert configure("recipe.bn_group=half", "recipe.batch_size=64").recipe.bn_group == 32
    with pytest.raises(
        UserError, match=r"recipe\.bn_group=half: must divide recipe\.batch_size=9; 1, 3, 9 do; or null"
    ):
        configure("recipe.bn_group=half", "recipe.batch_size=9")
    for wrong in ("machine", "true", "2.5", "0", "48"):
        with pytest.raises(UserError, match=r"recipe\.bn_group=.*: must divide .* or device"):
            configure(f"recipe.bn_group={wrong}")


def test_a_run_on_eight_devices_is_recorded_and_goes_on_with_others(tmp_path):
    line = ("train", "model=resnet20", "model.depth=8", "recipe.total_steps=2", "recipe.bn_statistics=running")
    done = ablations(*line, "recipe.bn_group=device", cwd=tmp_path, env=os.environ | EIGHT)
    assert done.returncode == 0, done.stderr
    [folder] = tmp_path.glob("runs/single/*/seed=0")
    record = read_record(folder)
    assert (record["devices"], record["processes"], record["config"]["recipe"]["bn_group"]) == (8, 1, 4)
    again = here(*line, "recipe.bn_group=device", "devices=4", cwd=tmp_path)
    assert again.returncode == 0 and "done already" in again.stdout


def test_groups_of_a_device_that_change_with_the_devices_stop_a_run_that_was_begun(tmp_path):
    config = configure("recipe.bn_group=device", "recipe.batch_size=64")
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {"w": jax.numpy.ones(3)}, {}, config.for_devices(8).resolved(), wait=True)
    checkpoints.check_groups(config, config.for_devices(8))
    with pytest.raises(UserError, match="was begun with BN over groups of 8 images, and a device has 16 here"):
        checkpoints.check_groups(config, config.for_devices(4))
    checkpoints.close()


def test_the_benchmark_of_devices():
    config = configure("model=resnet20", "model.depth=8", "recipe.batch_size=8")
    [row] = devices.measure(config, [1], ["device"], rounds=2)
    assert (row["devices"], row["bn_group"], row["of 1"]) == ("1", "device", "1.00 (1.00 ... 1.00)")
    assert (row["sums over devices"], row["other exchanges"]) == ("0", "0")
