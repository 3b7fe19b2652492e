"""MobileNet v2; Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks"."""

from dataclasses import dataclass, field

from ablations.networks.architecture import Architecture, Head, Layer, Match, Stage, Unit
from ablations.networks.family import ModelConfig, above_0, at_least, legal, rate

ROWS = [  # Table 2: expansion t, channels c, units n, stride s of the first
    [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1],
]  # fmt: skip


@dataclass(kw_only=True)
class MobileNetV2(ModelConfig):
    """Inverted bottlenecks: a 1x1 convolution that widens, a depthwise 3x3, a 1x1 that narrows, with nothing after it.

    rows: (t, c, n, s): n units of c channels, widened t times, the first with stride s. width_factor: on all channels
        but the last convolution's, rounded to multiples of 8. stem_filters, stem_stride: of the first convolution.
    last: channels of the 1x1 convolution after the last unit; 0: none.
    expand_always: also a unit with t = 1 has its first convolution; not in the paper.
    shortcuts: where they stand: "equal", where the shape does not change (the paper's); "same_stride", with a
        projection where only the number of channels changes (kuangliu's pytorch-cifar); "always", with channels of zeros.
    dropout: before the classifier.
    """

    family: str = "mobilenet_v2"
    rows: list[list[int]] = field(default_factory=lambda: [[*row] for row in ROWS])
    width_factor: float = 1.0
    stem_filters: int = 32
    stem_stride: int = 2
    last: int = 1280
    expand_always: bool = False
    shortcuts: str = "equal"
    dropout: float = 0.2

    def __post_init__(self):
        legal(self, shortcuts=("equal", "same_stride", "always"), stem_stride=(1, 2))
        at_least(self, 1, "stem_filters")
        at_least(self, 0, "last")
        rate(self)
        if not self.rows or any(len(row) != 4 or min(row) < 1 for row in self.rows):
            raise ValueError(f"model.rows={self.rows}: each row is [t, c, n, s], all at least 1, as [6,24,2,2]")
        above_0(self, "width_factor")
        super().__post_init__()

    def architecture(self) -> Architecture:
        stem = Layer(multiple_of_8(self.stem_filters * self.width_factor), 3, self.stem_stride)
        channels, stages = stem.filters, []
        for expansion, filters, count, stride in self.rows:
            filters, units = multiple_of_8(filters * self.width_factor), []
            for i in range(count):
                units.append(self._unit(expansion, channels, filters, stride if i == 0 else 1))
                channels = filters
            stages.append(Stage(tuple(units)))
        last = multiple_of_8(self.last * max(1.0, self.width_factor)) if self.last else 0
        exit_rows = (Layer(last, 1),) if last else ()
        head = Head(dropouts=(self.dropout,))
        return Architecture(stem, tuple(stages), exit_rows, head, function="relu6")

    def _unit(self, expansion: int, channels: int, filters: int, stride: int) -> Unit:
        wide = expansion * channels
        branch = (Layer(wide, 3, stride, groups=wide), Layer(filters, 1))
        if expansion > 1 or self.expand_always:
            branch = (Layer(wide, 1), *branch)
        projects = self.shortcuts == "same_stride" and stride == 1
        stands = "always" if projects or self.shortcuts == "always" else "equal"
        return Unit(branch, stands=stands, function="relu6", match=Match(1 if projects else None))


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, not below 0.9 of it; of the authors' code."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
