"""DenseNet; Huang et al. 2016, "Densely Connected Convolutional Networks"."""

from dataclasses import dataclass, field

from ablations.networks.architecture import Activate, Architecture, Drop, Layer, Pool, Row, Stage, Unit
from ablations.networks.family import ModelConfig, at_least, legal, rate


@dataclass(kw_only=True)
class DenseNet(ModelConfig):
    """Blocks of units whose output is concatenated to their input. What is carried passes the shortcut.

    blocks: the units of each block. growth: k, the channels that a unit adds. bottleneck: a 1x1 convolution to 4k
        channels before the 3x3. compression: theta, the share of channels that a transition between blocks keeps.
    stem: "cifar", 3x3; "imagenet", 7x7 with stride 2, BN, ReLU and max pooling. stem_filters: 2k, or 16 without
        bottlenecks in the paper.
    dropout: after each convolution but the stem; 0.2 in the paper where images are not augmented.
    """

    family: str = "densenet"
    blocks: list[int] = field(default_factory=lambda: [6, 12, 24, 16])
    growth: int = 32
    bottleneck: bool = True
    compression: float = 0.5
    stem: str = "imagenet"
    stem_filters: int = 64
    dropout: float = 0.0

    def __post_init__(self):
        legal(self, stem=("cifar", "imagenet"))
        at_least(self, 1, "growth", "stem_filters")
        rate(self)
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(f"model.blocks={self.blocks}: give each block its number of units, at least 1")
        if not 0 < self.compression <= 1:
            raise ValueError(f"model.compression={self.compression}: must be above 0 and at most 1")
        super().__post_init__()

    def architecture(self) -> Architecture:
        imagenet, channels, stages = self.stem == "imagenet", self.stem_filters, []
        drop = (Drop(self.dropout),) * (self.dropout > 0)
        branch: tuple[Row, ...] = (Layer(self.growth), *drop)
        if self.bottleneck:
            branch = (Layer(4 * self.growth, 1), *drop, *branch)
        entry: tuple[Row, ...] = (Pool("max", 3, 2),) * imagenet
        for units in self.blocks:
            stages.append(Stage((Unit(branch, join="concatenate"),) * units, entry))
            channels = int((channels + units * self.growth) * self.compression)
            entry = (Activate(), Layer(channels, 1, activated=False), *drop, Pool("average", 2, 2))
        stem = Layer(self.stem_filters, *((7, 2) if imagenet else (3, 1)), activated=imagenet)
        return Architecture(stem, tuple(stages))
