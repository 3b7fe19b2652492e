"""ResNeXt; Xie et al. 2016, "Aggregated Residual Transformations for Deep Neural Networks"."""

from dataclasses import dataclass

from ablations.networks.architecture import Architecture, Layer, Match
from ablations.networks.families.resnet import STEMS, stages, stem, units_per_stage, with_sizes
from ablations.networks.family import ModelConfig, at_least, legal


@dataclass(kw_only=True)
class ResNeXt(ModelConfig):
    """Bottleneck units with a grouped 3x3 convolution.

    depth: as of a ResNet with bottleneck units. cardinality: the number of groups. base_width: the channels of a group in
        a stage of 64 channels, such as 4 in 32x4d. width: w of the first stage, whose units make 4w channels.
    dimension_change: "projection" (option B) or "zero_padding" (option A).
    """

    family: str = "resnext"
    depth: int
    cardinality: int
    base_width: int
    width: int = 64
    stem: str = "imagenet"
    dimension_change: str = "projection"

    def __post_init__(self):
        legal(self, stem=STEMS, dimension_change=("zero_padding", "projection"))
        at_least(self, 1, "cardinality", "base_width", "width")
        if self.width * self.base_width < 64:
            raise ValueError(
                f"model.base_width={self.base_width}: with model.width={self.width} a group of the first stage has "
                f"{self.width * self.base_width / 64:g} channels; choose at least {-(-64 // self.width)}"
            )
        super().__post_init__()

    @property
    def label(self) -> str:
        return with_sizes(self.name, depth=self.depth)

    def architecture(self) -> Architecture:
        counts = units_per_stage(self.stem, "bottleneck", self.depth)
        projects = self.dimension_change == "projection"
        made = stages(
            self._branch,
            counts,
            [self.width * 2**i for i in range(len(counts))],
            match=Match(1 if projects else None),
            reads_activated=projects,
            pool=self.stem == "imagenet",
        )
        return Architecture(stem(self.width, self.stem), made)

    def _branch(self, width: int, stride: int) -> tuple[Layer, ...]:
        """1x1, 3x3 in groups, 1x1; Fig. 3(c). width: w."""
        grouped = width * self.base_width // 64 * self.cardinality
        return Layer(grouped, 1), Layer(grouped, 3, stride, groups=self.cardinality), Layer(4 * width, 1)
