"""The typed configuration of one run, and the schemas that Hydra composes it from.

Nothing here imports JAX: the whole configuration is checked before any array is made.
"""

from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from ablations.config.distributed import Distributed
from ablations.config.logger import Logger
from ablations.config.recipe import RecipeConfig, refusal
from ablations.data.config import DATASETS, SCHEMAS, DataConfig
from ablations.networks import families, scaling  # noqa: F401, so that their classes are registered
from ablations.networks.activation import ActivationOrder
from ablations.networks.family import ModelConfig
from ablations.networks.registry import FAMILY, SHORTCUT, find_class
from ablations.networks.shortcut import Shortcut
from ablations.setting import deciding, incidental

LAST_SEED = 2**63 - 1
PRECISIONS = ("f32", "bf16")
MATMUL_PRECISIONS = ("default", "high", "highest")
WORDS = {"classification": "one class for an image", "segmentation": "one class for each pixel"}
NO_PROBE = "a long skip reads two maps, so there is no x whose gradient passes through every unit; leave it out"
OBJECTIVES = ("error", "seconds", "parameters", "macs")
PACKINGS = ("auto", "single", "processes", "interleaved", "vmap")


@dataclass
class Config:
    """One run. Fields that decide where and how it runs, but not its result, are `incidental`.

    precision: the type of activations; parameters, BN statistics and the loss are always float32.
    threads: XLA's threads on a CPU. Another number changes the last bits.
    matmul_precision: how exact the products of float32 numbers are in convolutions and matrix products, as
        `jax.lax.Precision` says. "default": TF32, with 10 bits after the point, on a GPU that has it; one pass of bf16
        on a TPU. "high": TF32; three passes. "highest": float32; six passes. A CPU always takes float32. A result from
        before this setting has "default".
    unroll: how many units of a stage are written out in each round of the loop over them: true for all, false for one,
        a number, or "auto" for what is fast on the platform (`networks/stack.py`). Changes neither parameters nor
        checkpoints.
    remat: keep only the input of every few units for the backward pass and compute the rest again: less memory, a
        third more work. Changes neither parameters nor checkpoints.
    deterministic: the same bits after a restart on a GPU, too, where steps are then slower; on other devices they are
        the same without it (`training/determinism.py`). Changes the last bits.
    devices: the number of this machine's devices over which a run is spread; None for all that make it faster
        (`training/spread.py`). Another number changes the last bits.
    distributed: whether the run consists of several processes, on several hosts.
    seeds: each row is run with the seeds 0 ... seeds - 1.
    packing: how several runs share a device (`launch/packing.py`). runs_at_a_time: how many do; None for as many as
        are fast.
    force: train again what is already done.
    checkpoint_seconds: the time between two checkpoints.
    logger: where evaluations are shown besides the run's folder.
    objective: what a search makes small, one of `OBJECTIVES` or a list of them (`launch/search.py`).
    """

    shortcut: Shortcut
    activation: ActivationOrder
    model: ModelConfig
    data: DataConfig
    recipe: RecipeConfig
    seed: int = 0
    precision: str = "f32"
    threads: int = 1
    matmul_precision: str = "default"
    unroll: bool | int | str = incidental("auto", speed=True)
    remat: bool = incidental(False, speed=True)
    deterministic: bool = incidental(False, speed=True)
    devices: int | None = incidental(None, speed=True)
    distributed: Distributed = incidental(factory=Distributed)
    study: str = incidental("single")
    row: str = incidental("default")
    seeds: int | None = incidental(None)
    packing: str = incidental("auto", speed=True)
    runs_at_a_time: int | None = incidental(None, speed=True)
    runs_dir: str = incidental("runs")
    force: bool = incidental(False)
    checkpoint_seconds: float = incidental(60.0)
    logger: Logger = incidental(factory=Logger)
    objective: Any = incidental("error")

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision}: legal are {', '.join(PRECISIONS)}")
        if self.matmul_precision not in MATMUL_PRECISIONS:
            raise ValueError(f"matmul_precision={self.matmul_precision}: legal are {', '.join(MATMUL_PRECISIONS)}")
        if not 0 <= self.seed <= LAST_SEED:
            raise ValueError(f"seed={self.seed}: must be at least 0 and at most {LAST_SEED}")
        if self.threads < 1:
            raise ValueError(f"threads={self.threads}: must be at least 1")
        if self.unroll != "auto" and (isinstance(self.unroll, str) or (self.unroll is not False and self.unroll < 1)):
            raise ValueError(f"unroll={self.unroll}: legal are auto, true, false, or a number of units from 1")
        if self.devices is not None and self.devices < 1:
            raise ValueError(f"devices={self.devices}: must be at least 1")
        if self.devices and (reason := refusal(self.recipe.batch_size, self.devices)):
            raise ValueError(reason)
        if self.packing not in PACKINGS:
            raise ValueError(f"packing={self.packing}: legal are {', '.join(PACKINGS)}")
        if self.runs_at_a_time is not None and self.runs_at_a_time < 1:
            raise ValueError(f"runs_at_a_time={self.runs_at_a_time}: must be at least 1")
        if self.distributed.name != "none" and self.packing in ("interleaved", "vmap"):
            raise ValueError(
                f"packing={self.packing}: not possible with distributed={self.distributed.name}; choose single"
            )
        if self.deterministic and self.packing == "vmap":
            raise ValueError(
                "deterministic=true: not possible with packing=vmap, where the number of runs that are left after a "
                "restart changes the last bits; choose interleaved"
            )
        if self.packing == "single" and (self.runs_at_a_time or 1) > 1:
            raise ValueError(f"runs_at_a_time={self.runs_at_a_time}: packing=single is one run at a time")
        listed_objectives(self.objective)
        if reason := self.shortcut.refusal(self.activation):
            raise ValueError(f"shortcut={self.shortcut.name}: {reason}")
        self._check_task()

    def _check_task(self) -> None:
        """Raise ValueError if the network does not do what the data set is for, or its images do not fit the network."""
        model, data = self.model, self.data
        if model.task != data.task:
            fitting = " or ".join(name for name, kind in DATASETS.items() if kind.task == model.task)
            what, has = WORDS[model.task], WORDS[data.task]
            networks = {"segmentation": "model=unet", "classification": "model=resnet110"}[data.task]
            raise ValueError(
                f"model={model.name} gives {what}, but data={data.name} has {has}: choose such a data set "
                f"(data={fitting}) or such a network (as {networks})"
            )
        if reason := model.refusal(data.side):
            setting = f"data.crop={data.crop}" if DATASETS[data.name].of_files else f"data={data.name}"
            raise ValueError(f"{setting}: {reason}")
        if model.task == "segmentation" and self.recipe.probe_every:
            raise ValueError(f"recipe.probe_every={self.recipe.probe_every}: {NO_PROBE}")

    def for_devices(self, devices: int) -> "Config":
        """This configuration on a number of devices, which turns bn_group="device" into a number of images."""
        if self.recipe.bn_group != "device":
            return self
        group = self.recipe.batch_size // devices if devices > 1 else None
        return replace(self, recipe=replace(self.recipe, bn_group=group))

    def matches(self, resolved: dict) -> bool:
        """Whether a record with these settings belongs to this configuration, on any number of devices."""
        recipe, group = self.recipe, resolved["recipe"].get("bn_group")
        if recipe.bn_group == "device" and (group is None or recipe.batch_size % group == 0):
            recipe = replace(recipe, bn_group=group)
        return replace(self, recipe=recipe).resolved() == resolved

    def resolved(self) -> dict:
        """What decides the result, as plain data: equal for two runs that must give the same numbers.

        Call `for_devices` first, once the number of devices is known.
        """
        return deciding(self)


def listed_objectives(objective) -> list[str]:
    """What a search makes small, as a list of one or more. Raises ValueError if there is no such objective."""
    listed = [objective] if isinstance(objective, str) else [*(objective or [""])]
    if unknown := [name for name in listed if name not in OBJECTIVES]:
        raise ValueError(
            f"objective={unknown[0]}: legal are {', '.join(OBJECTIVES)}, or several, as objective=[error,seconds]"
        )
    return listed


def from_resolved(resolved: dict, record: dict | None = None) -> Config:
    """The inverse of `Config.resolved`. A setting that is newer than the record gets its default.

    record: what the settings are from, which says where the classes of a user's shortcut and family are.
    Raises ValueError, which names the setting, if one is unknown, missing or not legal. If the class of the shortcut or
    the family is not defined, that is a registry.Undefined, which says what to type.
    """
    settings = dict(_group(resolved, "config"))
    family = _group(settings.get("model"), "model").get("family", "resnet")
    data = SCHEMAS.get(str(_group(settings.get("data"), "data").get("name")), DataConfig)
    parts = {
        "shortcut": find_class(SHORTCUT, _group(settings.get("shortcut"), "shortcut").get("name"), record),
        "activation": ActivationOrder,
        "model": find_class(FAMILY, family, record),
        "data": data,
        "recipe": RecipeConfig,
    }
    for part, kind in parts.items():
        settings[part] = _instance(kind, _group(settings.get(part), part), f"{part}.")
    return _instance(Config, settings)


def _group(settings, name: str) -> dict:
    if not isinstance(settings, dict):
        raise ValueError(f"the settings {name} are missing" if settings is None else f"{name}={settings}: not settings")
    return settings


def _instance(kind: type, settings: dict, prefix: str = ""):
    """An instance of a schema with these settings. Raises ValueError as `from_resolved` does."""
    schema = fields(kind)
    if unknown := sorted(settings.keys() - {field.name for field in schema}):
        raise ValueError(f"unknown setting {prefix}{unknown[0]}")
    needed = [field.name for field in schema if field.default is MISSING and field.default_factory is MISSING]
    if missing := [name for name in needed if name not in settings]:
        raise ValueError(f"the setting {prefix}{missing[0]} is missing")
    try:
        return kind(**settings)
    except TypeError as error:  # a value of another type, such as a word for a number
        raise ValueError(
            f"a setting of {prefix.rstrip('.') or 'the run'} has a value of the wrong type: {error}"
        ) from error
