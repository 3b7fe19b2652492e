"""VGG; Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition"."""

from dataclasses import dataclass, field

from ablations.networks.architecture import STANDS, Architecture, Head, Layer, Pool, Stage, Unit
from ablations.networks.family import ModelConfig, at_least, legal, rate

POOL = Pool("max", 2, 2)


@dataclass(kw_only=True)
class VGG(ModelConfig):
    """3x3 convolutions in stages, with max pooling between them. Published without shortcuts.

    layers, widths: the convolutions of each stage, and their channels. The first convolution is the stem.
    unit_layers: convolutions in a unit, which a shortcut can span; where a stage has no multiple of it, its first unit is
        smaller. stands: which units a shortcut stands on.
    cells: the last map is averaged in so many rows and columns of cells. hidden, dropout: linear layers before the
        classifier, and the rate of dropout after each.
    """

    family: str = "vgg"
    layers: list[int] = field(default_factory=lambda: [2, 2, 3, 3, 3])
    widths: list[int] = field(default_factory=lambda: [64, 128, 256, 512, 512])
    unit_layers: int = 1
    stands: str = "equal"
    bias: bool = True
    last_pool: bool = True
    cells: int = 7
    hidden: list[int] = field(default_factory=lambda: [4096, 4096])
    dropout: float = 0.5

    def __post_init__(self):
        legal(self, stands=STANDS)
        rate(self)
        at_least(self, 1, "cells")
        if (
            not self.layers
            or len(self.layers) != len(self.widths)
            or min(*self.layers, *self.widths, self.unit_layers) < 1
        ):
            raise ValueError(
                f"model.layers={self.layers}, model.widths={self.widths}: give each stage its number of convolutions, at "
                "least 1, and their channels"
            )
        super().__post_init__()

    def architecture(self) -> Architecture:
        stages = []
        for i, (layers, width) in enumerate(zip(self.layers, self.widths, strict=True)):
            layers -= i == 0  # the stem
            first, whole = layers % self.unit_layers, layers // self.unit_layers
            sizes = [first] * (first > 0) + [self.unit_layers] * whole
            units = [Unit((Layer(width, bias=self.bias),) * size, stands=self.stands) for size in sizes]
            if units:  # the first stage of VGG-11 is the stem alone
                stages.append(Stage(tuple(units), (POOL,) * (i > 0)))
        stem = Layer(self.widths[0], bias=self.bias)
        head = Head(self.cells, tuple(self.hidden), (0.0, *[self.dropout] * len(self.hidden)))
        return Architecture(stem, tuple(stages), (POOL,) * self.last_pool, head)
