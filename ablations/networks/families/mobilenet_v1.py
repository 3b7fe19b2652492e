"""MobileNet v1; Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"."""

from dataclasses import dataclass, field

from ablations.networks.architecture import FUNCTIONS, Architecture, Layer, Stage, Unit
from ablations.networks.family import ModelConfig, at_least, legal

ROWS = [
    [64, 1, 1],
    [128, 2, 2],
    [256, 2, 2],
    [512, 6, 2],
    [1024, 2, 2],
]  # Table 1: channels, units, stride of the first


@dataclass(kw_only=True)
class MobileNetV1(ModelConfig):
    """Units of a depthwise 3x3 and a 1x1 convolution. Published without shortcuts; as an ablation they stand where no shape
    changes.

    rows: (channels, units, stride of the first of them). stem_filters, stem_stride: of the first convolution.
    width_factor: alpha, on all channels. function: "relu" in the paper; TF-slim
    and Keras take "relu6".
    """

    family: str = "mobilenet_v1"
    rows: list[list[int]] = field(default_factory=lambda: [[*row] for row in ROWS])
    width_factor: float = 1.0
    stem_filters: int = 32
    stem_stride: int = 2
    function: str = "relu"

    def __post_init__(self):
        legal(self, stem_stride=(1, 2), function=FUNCTIONS)
        at_least(self, 1, "stem_filters")
        if not self.rows or any(len(row) != 3 or min(row) < 1 for row in self.rows):
            raise ValueError(
                f"model.rows={self.rows}: each row is [channels, units, stride], all at least 1, as [128,2,2]"
            )
        smallest = min(self.stem_filters, *(row[0] for row in self.rows))
        if self.width_factor <= 0 or int(smallest * self.width_factor) < 1:
            raise ValueError(
                f"model.width_factor={self.width_factor}: leaves no channel; 0.25 is the smallest published"
            )
        super().__post_init__()

    def architecture(self) -> Architecture:
        stem = Layer(int(self.stem_filters * self.width_factor), 3, self.stem_stride)
        channels, stages = stem.filters, []
        for filters, count, stride in self.rows:
            filters, units = int(filters * self.width_factor), []
            for i in range(count):
                branch = Layer(channels, 3, 1 if i else stride, groups=channels), Layer(filters, 1)
                units.append(Unit(branch, stands="equal", function=self.function))
                channels = filters
            stages.append(Stage(tuple(units)))
        return Architecture(stem, tuple(stages), function=self.function)
