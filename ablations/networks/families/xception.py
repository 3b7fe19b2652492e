"""Xception; Chollet 2016, "Xception: Deep Learning with Depthwise Separable Convolutions"."""

from dataclasses import dataclass, field, replace

from ablations.networks.architecture import Architecture, Head, Layer, Match, Pool, Row, Stage, Unit
from ablations.networks.family import ModelConfig, legal, rate, unread

POOL = Pool("max", 3, 2)


@dataclass(kw_only=True)
class Xception(ModelConfig):
    """Modules of separable convolutions: a depthwise 3x3, then a 1x1, with nothing in between.

    form: "imagenet", the paper's Fig. 5, for 299x299 pixels. "stages": for small images, stages of `modules` modules of
        three separable convolutions, the first module of each but the first stage ending in max pooling.
    widths, modules: of "stages". dimension_change: "projection" or "zero_padding". dropout: before the classifier.
    """

    family: str = "xception"
    form: str = "imagenet"
    widths: list[int] = field(default_factory=list)
    modules: int = 8
    dimension_change: str = "projection"
    dropout: float = 0.0

    def __post_init__(self):
        legal(self, form=("imagenet", "stages"), dimension_change=("zero_padding", "projection"))
        rate(self)
        if self.form == "imagenet":
            unread(self, "model.form=stages", "widths")
        if self.modules < 1 or (self.form == "stages" and (not self.widths or min(self.widths) < 1)):
            raise ValueError(f"model.widths={self.widths}, model.modules={self.modules}: must be at least 1")
        super().__post_init__()

    def architecture(self) -> Architecture:
        made = self._stages() if self.form == "stages" else self._published()
        return replace(made, head=Head(dropouts=(self.dropout,)), bn_epsilon=1e-3)

    def _published(self) -> Architecture:
        """Fig. 5."""
        modules = (
            replace(self._module([64, 128, 128], pool=True), before=False),  # the stem has activated its input
            self._module([128, 256, 256], pool=True),
            self._module([256, 728, 728], pool=True),
            *[self._module([728] * 4, pool=False)] * self.modules,
            self._module([728, 728, 1024], pool=True),
        )
        stage = Stage(modules, (Layer(64, pad=0),))
        exit_rows = _separable(1024, 1536) + _separable(1536, 2048)
        return Architecture(Layer(32, 3, 2, pad=0), (stage,), exit_rows, last_activation=False)

    def _stages(self) -> Architecture:
        channels, stages = self.widths[0], []
        for i, width in enumerate(self.widths):
            changing = replace(self._module([channels, width, width, width], pool=i > 0), before=i > 0)
            stages.append(Stage((changing, *[self._module([width] * 4, pool=False)] * (self.modules - 1))))
            channels = width
        return Architecture(Layer(self.widths[0]), tuple(stages))

    def _module(self, widths: list[int], *, pool: bool) -> Unit:
        """A separable convolution between each two of these widths."""
        branch: tuple[Row, ...] = ()
        for channels, width in zip(widths, widths[1:], strict=False):
            branch += _separable(channels, width)
        projects = self.dimension_change == "projection"
        return Unit(branch + (POOL,) * pool, match=Match(1 if projects else None))


def _separable(channels: int, filters: int) -> tuple[Layer, Layer]:
    return Layer(channels, 3, groups=channels, activated=False), Layer(filters, 1)
