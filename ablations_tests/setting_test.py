from dataclasses import dataclass, field

import pytest

from ablations.config.run import Config
from ablations.setting import decides, deciding, incidental, speed
from ablations_tests.conftest import configure


@dataclass
class Part:
    depth: int = 3
    sizes: list[int] = field(default_factory=lambda: [1, 2])
    place: str = incidental("here")


@dataclass
class Whole:
    part: Part = field(default_factory=Part)
    fast: bool = incidental(False, speed=True)
    other: Part = incidental(factory=Part)


def test_what_decides_a_result_is_what_does_not_say_otherwise():
    whole = Whole()
    assert deciding(whole) == {"part": {"depth": 3, "sizes": [1, 2]}} and speed(whole) == {"fast": False}
    deciding(whole)["part"]["sizes"].append(3)
    assert whole.part.sizes == [1, 2], "a copy"
    decided = {key: decides(Whole, key) for key in ("part.depth", "part.place", "fast", "other.depth", "part.unknown")}
    assert decided == {
        "part.depth": True, "part.place": False, "fast": False, "other.depth": False, "part.unknown": True
    }  # fmt: skip


RESOLVED = {
    "": ["shortcut", "activation", "model", "data", "recipe", "seed", "precision", "threads", "matmul_precision"],
    "data": [
        "name", "pad", "flip", "crop", "scale", "colour", "test_crops", "broken", "root", "split", "train_images",
    ],
    "recipe": [
        "name", "batch_size", "total_steps", "learning_rate", "evaluate_every", "scale_lr_from", "schedule", "warmup",
        "warmup_fraction", "warmup_factor", "drop_fractions", "drop_factor", "momentum", "nesterov", "weight_decay",
        "weight_decay_on", "normalization", "label_smoothing", "bn_momentum", "bn_group", "bn_statistics",
    ],
}  # fmt: skip


def test_what_a_record_says_of_its_configuration():
    """In this order: digests are made of it."""
    resolved = configure().resolved()
    assert {group: [*(resolved[group] if group else resolved)] for group in RESOLVED} == RESOLVED


@pytest.mark.parametrize(
    "setting",
    [
        *("runs_dir=a", "force=true", "unroll=true", "remat=true", "devices=1", "packing=single", "runs_at_a_time=1"),
        *("checkpoint_seconds=1", "recipe.probe_every=3", "data.archive_dir=a", "data.data_dir=a", "data.verify=false"),
        *("data.workers=2", "logger=wandb", "distributed=auto", "seeds=2", "deterministic=true"),
    ],
)
def test_where_and_how_fast_is_no_part_of_a_name_or_a_record(setting):
    assert not decides(Config, setting.partition("=")[0])
    assert configure(setting).resolved() == configure().resolved()


def test_what_decides_speed_is_what_a_measurement_must_be_told():
    assert speed(configure("unroll=true", "devices=2")) == {
        "unroll": True, "remat": False, "deterministic": False, "devices": 2, "packing": "auto", "runs_at_a_time": None
    }  # fmt: skip
