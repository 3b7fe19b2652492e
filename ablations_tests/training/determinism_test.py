"""deterministic=true: what XLA is told for a GPU, where it is refused, and that it changes nothing on a CPU."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.training import determinism, restore
from ablations.training.devices import AbsentDevice, Devices
from ablations.training.loop import training
from ablations.training.programs import Programs
from ablations.training.steps import Steps
from ablations_tests.conftest import FEW_IMAGES, ONE_UNIT, configure, here

CONFIG = configure("deterministic=true")
OPTIONS = {"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": "0"}


@dataclass(frozen=True)
class Present:
    """What JAX says of a device."""

    platform: str
    version: str = ""
    process_index: int = 0
    number: int = 0
    client: SimpleNamespace = field(init=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "client", SimpleNamespace(platform_version=self.version))


GPU = Present("gpu", "PJRT C API\ncuda 12090")


def test_a_gpus_compiler_is_told_to_leave_out_what_differs_between_runs_and_no_other_is():
    def told(platform, **settings):
        return Programs(Devices((AbsentDevice(platform),)), 1, **settings).compiler_options

    assert told("cuda", deterministic=True) == told("gpu", deterministic=True) == OPTIONS
    assert told("cuda") == told("tpu", deterministic=True) == told("cpu", deterministic=True) == {}
    steps = Steps(CONFIG, restore.without_images(CONFIG.data), Devices((AbsentDevice("cuda"),)))
    assert steps.programs.compiler_options == OPTIONS, "a run's own setting"
    lowered = SimpleNamespace(compile=lambda options: options)
    assert steps.programs.compile(lowered) == OPTIONS, "every program is compiled with them"  # pyright: ignore[reportArgumentType]


def test_xla_knows_these_options_as_those_of_a_program():
    """They need no variable of the environment, which would have to be set before XLA starts."""
    lowered = jax.jit(lambda x: x + 1).lower(jnp.ones(3))
    assert lowered.compile(OPTIONS)(jnp.ones(3)).tolist() == [2, 2, 2]
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        lowered.compile({"xla_gpu_deterministic": True})


def test_where_it_can_be_kept():
    for kept in ((GPU,), (Present("cpu"),) * 8, (Present("tpu"), Present("tpu", process_index=1))):
        determinism.check(CONFIG, Devices(kept))


@pytest.mark.parametrize(
    "devices,why",
    [
        ((GPU, Present("gpu", "cuda", number=1)), "NCCL chooses the order in which 2 GPUs add.*choose devices=1"),
        ((GPU, Present("gpu", "cuda", process_index=1)), "the 2 processes of this run may meet in another order"),
        ((Present("gpu", "PJRT C API\nrocm 60300"),), "the compiler for rocm is not known to keep it"),
        ((AbsentDevice("rocm"),), "the compiler for rocm is not known to keep it"),
        ((Present("metal"),), "the compiler for metal is not known to keep it"),
    ],
)
def test_where_it_cannot_be_kept_it_is_refused_before_anything_is_trained(devices, why, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=f"deterministic=true: {why}.*leave it out"):
        determinism.check(CONFIG, Devices(devices))
    determinism.check(configure(), Devices(devices))
    monkeypatch.setattr(Devices, "configured", classmethod(lambda cls, config: Devices(devices)))
    with pytest.raises(UserError, match=why):
        next(training(CONFIG, tmp_path, restore.without_images(CONFIG.data)))
    assert not list(tmp_path.iterdir())


def test_runs_in_one_program_are_refused():
    with pytest.raises(UserError, match=r"deterministic=true: not possible with packing=vmap.*choose interleaved"):
        configure("deterministic=true", "packing=vmap")


def test_on_a_cpu_it_changes_neither_bits_nor_words(tmp_path):
    small = [*ONE_UNIT, "recipe.total_steps=2", "recipe.evaluate_every=2", *FEW_IMAGES]
    small += ["hydra/launcher=basic"]
    names, weights = [], []
    for setting in ("false", "true"):
        done = here("train", *small, f"deterministic={setting}", f"runs_dir=runs_{setting}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        [path] = (tmp_path / f"runs_{setting}").glob("single/*/seed=0")
        folder = RunFolder(path)
        weights.append(folder.weights_file.read_bytes())
        names.append(path.parent.name)
        assert "determin" not in done.stdout + done.stderr
        assert folder.finished()[0].get("deterministic", False) == (setting == "true")
    assert weights[0] == weights[1] and names[0] == names[1]
