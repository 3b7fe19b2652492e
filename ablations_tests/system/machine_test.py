"""Which accelerators a machine has: a plugin alone is none."""

import os

import jax
import pytest

from ablations.errors import UserError
from ablations.system import machine
from ablations.training import environment
from ablations.training.devices import Devices
from ablations_tests.conftest import configure


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """A machine with every plugin, and a listing of /dev of which the test says what is in it."""
    monkeypatch.setattr(machine, "DEV", tmp_path)
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    for name in ("JAX_PLATFORMS", machine.VISIBLE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "vfio").mkdir()
    (tmp_path / "vfio" / "vfio").touch()  # where the driver is, without a device
    return tmp_path


def test_plugins_without_a_device_change_nothing(dev, monkeypatch):
    (dev / "null").touch()
    assert not machine.usable() and machine.gpus() == [] and machine.only_compiles()
    monkeypatch.setenv(machine.VISIBLE, "0,1")
    assert machine.gpus() == []


def test_gpus_are_there_though_a_tpus_compiler_is_installed(dev):
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl"):
        (dev / name).touch()
    assert machine.usable() and machine.gpus() == ["0", "2", "10"] and not machine.only_compiles()


@pytest.mark.parametrize("name", ["accel0", "vfio/0"])
def test_tpus_are_no_gpus(name, dev):
    (dev / name).touch()
    (dev / "nvidia0").touch()
    assert machine.usable() and machine.gpus() == []


def test_a_device_without_its_plugin_is_not_used(dev, monkeypatch):
    (dev / "nvidia0").touch()
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert not machine.usable() and not machine.only_compiles() and machine.gpus() == []
    monkeypatch.setattr(machine, "find_spec", lambda name: name if name == "libtpu" else None)
    assert not machine.usable() and machine.gpus() == []


def test_what_the_user_said_against_accelerators_holds(dev, monkeypatch):
    (dev / "nvidia0").touch()
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not machine.usable() and machine.gpus() == []


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_as_none(hidden, dev, monkeypatch):
    (dev / "nvidia0").touch()
    monkeypatch.setenv(machine.VISIBLE, hidden)
    assert not machine.usable() and machine.gpus() == [] and machine.only_compiles()


def test_a_run_does_not_take_the_cpu_where_an_accelerator_fails(dev, monkeypatch):
    environment.start()
    (dev / "nvidia0").touch()
    with pytest.raises(UserError, match="cannot use this machine's accelerator: it has said why.* JAX_PLATFORMS=cpu"):
        Devices.here()

    def fail():
        raise RuntimeError(
            "Unable to initialize backend 'cuda': no supported devices found (you may need to uninstall)"
        )

    monkeypatch.setattr(jax, "default_backend", fail)
    with pytest.raises(UserError, match="'cuda': no supported devices found. nvidia-smi"):
        Devices.configured(configure())


@pytest.mark.parametrize("device,platforms", [("null", "cpu"), ("nvidia0", None)])
def test_jax_is_told_to_use_the_cpu_only_where_plugins_have_no_device(device, platforms, dev, monkeypatch):
    (dev / device).touch()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    environment.prepare(configure())
    assert os.environ.get("JAX_PLATFORMS") == platforms
