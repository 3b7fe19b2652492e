"""MobileNet v3; Howard et al. 2019, "Searching for MobileNetV3"."""

from dataclasses import dataclass

from ablations.networks.architecture import Architecture, Head, Layer, Stage, Unit
from ablations.networks.families.mobilenet_v2 import multiple_of_8
from ablations.networks.family import ModelConfig, legal, rate

# Tables 1 and 2: kernel, widened channels, channels, squeeze-and-excitation, function, stride.
R, H = "relu", "hardswish"
ROWS = {
    "large": (
        (3, 16, 16, False, R, 1), (3, 64, 24, False, R, 2), (3, 72, 24, False, R, 1), (5, 72, 40, True, R, 2),
        *[(5, 120, 40, True, R, 1)] * 2, (3, 240, 80, False, H, 2), (3, 200, 80, False, H, 1),
        *[(3, 184, 80, False, H, 1)] * 2, (3, 480, 112, True, H, 1), (3, 672, 112, True, H, 1),
        (5, 672, 160, True, H, 2), *[(5, 960, 160, True, H, 1)] * 2,
    ),
    "small": (
        (3, 16, 16, True, R, 2), (3, 72, 24, False, R, 2), (3, 88, 24, False, R, 1), (5, 96, 40, True, H, 2),
        *[(5, 240, 40, True, H, 1)] * 2, (5, 120, 48, True, H, 1), (5, 144, 48, True, H, 1),
        (5, 288, 96, True, H, 2), *[(5, 576, 96, True, H, 1)] * 2,
    ),
}  # fmt: skip
LAST = {"large": (960, 1280), "small": (576, 1024)}  # of the last convolution and of the hidden linear layer


@dataclass(kw_only=True)
class MobileNetV3(ModelConfig):
    """Inverted bottlenecks with hard swish, some with squeeze-and-excitation. size: "large" or "small".

    stem_stride: 2, or 1 for small images.
    """

    family: str = "mobilenet_v3"
    size: str = "large"
    stem_stride: int = 2
    dropout: float = 0.2

    def __post_init__(self):
        legal(self, size=tuple(ROWS), stem_stride=(1, 2))
        rate(self)
        super().__post_init__()

    def architecture(self) -> Architecture:
        channels, units = 16, []
        for kernel, wide, filters, excites, function, stride in ROWS[self.size]:
            excite = multiple_of_8(wide // 4) if excites else 0
            branch = (Layer(wide, kernel, stride, groups=wide, excite=excite), Layer(filters, 1))
            if wide != channels:
                branch = (Layer(wide, 1), *branch)
            units.append(Unit(branch, stands="equal", function=function))
            channels = filters
        last, hidden = LAST[self.size]
        head = Head(hidden=(hidden,), dropouts=(0.0, self.dropout))
        stem, exit_rows = Layer(16, 3, self.stem_stride), (Layer(last, 1),)
        return Architecture(stem, (Stage(tuple(units)),), exit_rows, head, function="hardswish", bn_epsilon=1e-3)
