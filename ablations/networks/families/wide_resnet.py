"""Wide residual networks, WRN-d-k; Zagoruyko and Komodakis 2016."""

from dataclasses import dataclass

from ablations.networks.architecture import Architecture, Drop, Layer, Match
from ablations.networks.families.resnet import repeats, stages, stem, with_sizes
from ablations.networks.family import ModelConfig, at_least, rate


@dataclass(kw_only=True)
class WideResNet(ModelConfig):
    """Basic units of 16k, 32k and 64k channels, with projections where the shape changes.

    depth: 6n + 4: the paper counts the projections. width_factor: k. dropout: between the two convolutions of a unit.
    """

    family: str = "wide_resnet"
    depth: int
    width_factor: int
    dropout: float = 0.0

    def __post_init__(self):
        at_least(self, 1, "width_factor")
        rate(self)
        super().__post_init__()

    @property
    def label(self) -> str:
        return with_sizes(self.name, depth=self.depth, k=self.width_factor)

    def architecture(self) -> Architecture:
        widths = [16 * 2**i * self.width_factor for i in range(3)]
        counts = [repeats(self.depth, 6, 4, "a wide residual network")] * 3
        made = stages(self._branch, counts, widths, match=Match(1), reads_activated=True)
        return Architecture(stem(16, "cifar"), made)

    def _branch(self, width: int, stride: int) -> tuple[Layer | Drop, ...]:
        return Layer(width, 3, stride), *(Drop(self.dropout),) * (self.dropout > 0), Layer(width)
