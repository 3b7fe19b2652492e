"""The cases that are measured: networks, orders, sizes and precisions, the most telling first; without Hydra."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data.config import DataConfig
from ablations.networks.activation import ORDERS
from ablations.networks.families.resnet import ResNet
from ablations.networks.shortcut import Identity

CONF = Path(__file__).parents[1] / "conf"


@dataclass(frozen=True)
class Case:
    """A network with identity shortcuts, and images as large as those of a data set; both sides train it."""

    model: str
    order: str
    data: str
    batch: int
    precision: str

    @property
    def name(self) -> str:
        size = {"cifar10": "32x32", "digits": "8x8", "imagenet": "224x224"}[self.data]
        return f"{self.model} {self.order} {size} batch {self.batch} {self.precision}"

    def config(self, threads: int, steps_per_call: int) -> Config:
        """steps_per_call: the steps of one compiled call on an accelerator."""
        recipe = {
            "batch_size": self.batch,
            "total_steps": 10**6,
            "learning_rate": 0.1,
            "evaluate_every": steps_per_call,
        }
        return Config(
            shortcut=Identity(),
            activation=ORDERS[self.order],
            model=ResNet(**_read("model", self.model)),
            data=DataConfig(**_read("data", self.data) | ({"colour": "none"} if self.data == "imagenet" else {})),
            recipe=RecipeConfig(name="bench", **recipe),
            precision=self.precision,
            threads=threads,
        )


def _read(group: str, name: str) -> dict:
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return {key: value for key, value in content.items() if key != "defaults"}


def _cases(
    model: str, data: str, *precisions: str, orders=("original", "full_preactivation"), batch: int | None = None
) -> list[Case]:
    batch = batch or {"cifar10": 128, "digits": 64}[data]
    return [Case(model, order, data, batch, precision) for precision in precisions for order in orders]


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
]

# Variants of PyTorch: with or without torch.compile, and the layout of the images.
VARIANTS = [(how, layout) for how in ("eager", "compile") for layout in ("default", "channels_last")]
# torch.compile takes minutes for a whole network with more layers than this: such networks are compiled unit by unit,
# as PyTorch advises for repeated blocks.
SHALLOW = {"cpu": 20, "cuda": 110}
