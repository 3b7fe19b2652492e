"""The cases that are measured: networks, orders, sizes and precisions, the most telling first; without Hydra."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data.config import DataConfig
from ablations.networks.activation import ORDERS
from ablations.networks.family import FAMILIES
from ablations.networks.scaling import SHORTCUTS

CONF = Path(__file__).parents[1] / "conf"


@dataclass(frozen=True)
class Case:
    """A network and images as large as those of a data set; both sides train it.

    model: a file in `conf/model/`. order: an activation order, "" for that of the file. settings: of the model, in place
    of those in its file. The shortcut is that of the file, else the identity.
    """

    model: str
    order: str
    data: str
    batch: int
    precision: str
    settings: dict = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        size = {"cifar10": "32x32", "digits": "8x8", "imagenet": "224x224"}[self.data]
        words = [self.model, *(f"{key}={value}" for key, value in self.settings.items()), self._choices["activation"]]
        return " ".join([*words, size, f"batch {self.batch}", self.precision])

    def config(self, threads: int, steps_per_call: int) -> Config:
        """steps_per_call: the steps of one compiled call on an accelerator."""
        recipe = {
            "batch_size": self.batch,
            "total_steps": 10**6,
            "learning_rate": 0.1,
            "evaluate_every": steps_per_call,
        }
        content = _read("model", self.model)
        choices = self._choices
        model = FAMILIES[choices["model"]](**content.get("model", content) | self.settings)
        return Config(
            shortcut=SHORTCUTS[choices["shortcut"]](),
            activation=ORDERS[choices["activation"]],
            model=model,
            data=DataConfig(**_read("data", self.data) | ({"colour": "none"} if self.data == "imagenet" else {})),
            recipe=RecipeConfig(name="bench", **recipe),
            precision=self.precision,
            threads=threads,
        )

    @property
    def layers(self) -> int:
        return self.config(1, 1).model.architecture().layers

    @property
    def _choices(self) -> dict[str, str]:
        """What the file of the model chooses: a family as "model", an activation order, a shortcut."""
        chosen = {"activation": "original", "shortcut": "identity"} | _defaults("model", self.model)
        return chosen | ({"activation": self.order} if self.order else {})


def _load(group: str, name: str) -> dict:
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


def _read(group: str, name: str) -> dict:
    return {key: value for key, value in _load(group, name).items() if key != "defaults"}


def _defaults(group: str, name: str) -> dict[str, str]:
    """What a file's list of defaults names: the schema of its group, and its choices in other groups."""
    chosen = {}
    for entry in _load(group, name)["defaults"]:
        if isinstance(entry, dict):
            chosen |= {key.removeprefix("override /"): value for key, value in entry.items()}
        elif entry.startswith(f"/schema/{group}/"):
            chosen[group] = entry.removeprefix(f"/schema/{group}/").partition("@")[0]
    return chosen


def _cases(
    model: str,
    data: str,
    *precisions: str,
    orders=("original", "full_preactivation"),
    batch: int | None = None,
    **settings,
) -> list[Case]:
    batch = batch or _load("recipe", {"cifar10": "paper", "digits": "digits"}[data])["batch_size"]
    return [Case(model, order, data, batch, precision, settings) for precision in precisions for order in orders]


CPU = [
    *_cases("resnet20", "cifar10", "f32"),
    *_cases("resnet110", "digits", "f32"),
    *_cases("resnet164", "digits", "f32", orders=("full_preactivation",)),
    *_cases("resnet20", "cifar10", "bf16", orders=("original",)),
    *_cases("resnet110", "cifar10", "f32", orders=("original",)),
    *_cases("resnet1001", "digits", "f32", orders=("full_preactivation",)),
    *_cases("resnet164", "cifar10", "f32", orders=("full_preactivation",)),
    *_cases("resnet110", "cifar10", "bf16", orders=("original",)),
    *_cases("resnet1001", "cifar10", "f32", orders=("full_preactivation",)),
    *_cases("resnet50", "imagenet", "f32", orders=("original",), batch=8),
    *_cases("mobilenet_v2_digits", "digits", "f32", orders=("",)),
    *_cases("mobilenet_v2_cifar", "cifar10", "f32", orders=("",), batch=32),
    *_cases("resnext110_digits", "digits", "f32", orders=("",)),
    *_cases("resnext29_8x64d", "cifar10", "f32", orders=("",), batch=8),
    *_cases("resnext29_8x64d", "cifar10", "f32", orders=("",), batch=16, cardinality=32, base_width=4),
    *_cases("densenet40_12", "cifar10", "f32", orders=("",), batch=32),
    *_cases("vgg110_digits", "digits", "f32", orders=("",)),
    *_cases("vgg16_bn_cifar", "cifar10", "f32", orders=("",), batch=32),
]
CUDA = [
    *_cases("resnet110", "cifar10", "bf16"),
    *_cases("resnet20", "cifar10", "bf16", orders=("original",)),
    *_cases("resnet164", "cifar10", "bf16", orders=("full_preactivation",)),
    *_cases("resnet1001", "cifar10", "bf16", orders=("full_preactivation",)),
    *_cases("resnet110", "cifar10", "f32", orders=("original",)),
    *_cases("resnet20", "cifar10", "f32"),
    *_cases("resnet20", "cifar10", "bf16", orders=("full_preactivation",)),
    *_cases("resnet110", "cifar10", "f32", orders=("full_preactivation",)),
    *_cases("resnet110", "digits", "f32", orders=("original",)),
    *_cases("resnet164", "cifar10", "f32"),
    *_cases("resnet164", "cifar10", "bf16", orders=("original",)),
    *_cases("resnet1001", "cifar10", "bf16", orders=("original",)),
    *_cases("resnet1001", "cifar10", "f32"),
    *_cases("resnet50", "imagenet", "bf16", "f32", orders=("original",), batch=128),
    *_cases("mobilenet_v2_cifar", "cifar10", "bf16", orders=("",)),
    *_cases("resnext29_8x64d", "cifar10", "bf16", orders=("",)),
    *_cases("densenet40_12", "cifar10", "bf16", orders=("",), batch=64),
    *_cases("vgg16_bn_cifar", "cifar10", "bf16", orders=("",)),
]

# Variants of PyTorch: with or without torch.compile, and the layout of the images.
VARIANTS = [(how, layout) for how in ("eager", "compile") for layout in ("default", "channels_last")]
# torch.compile takes minutes for a whole network with more layers than this: such networks are compiled unit by unit,
# as PyTorch advises for repeated blocks.
SHALLOW = {"cpu": 20, "cuda": 110}
