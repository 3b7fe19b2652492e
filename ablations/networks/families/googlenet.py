"""GoogLeNet; Szegedy et al. 2014, "Going Deeper with Convolutions"."""

from dataclasses import dataclass, field

from ablations.networks.architecture import (
    STANDS,
    Architecture,
    Auxiliary,
    Cells,
    Head,
    Layer,
    LocalResponse,
    Parallel,
    Pool,
    Stage,
    Unit,
)
from ablations.networks.family import ModelConfig, above_0, legal, rate, unread

MODULES = (  # Table 1: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool proj
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


AUXILIARY_POOLS = {"paper": Pool("average", 5, 3, pad=0), "torchvision": Cells(4)}


@dataclass(kw_only=True)
class GoogLeNet(ModelConfig):
    """Nine Inception modules, each a unit. Published without shortcuts; with them, channels of zeros are added where a
    module widens.

    large_kernel: 5 in the paper; 3 in torchvision, which its own source calls a mistake. last_pool: side of the last
    max pooling's window, 3 in the paper, 2 in torchvision. bias, local_response: in the paper, which has no BN.
    dropout: before the classifier.
    form: "imagenet", the paper's Table 1; "stages": for small images, stages of `modules` modules of `widths` channels, in
        the proportions of the paper's first module, with max pooling between them.
    auxiliary: classifiers in the middle that help to train, and are off in tests: after modules 4a and 4d or, of "stages",
        after each stage but the last. "paper": on average pooling of 5x5 with stride 3; "torchvision": on the means of 4x4
        cells, of a map of any size. Deviation: the paper's network has them; here "none" is the default.
    """

    family: str = "googlenet"
    large_kernel: int = 5
    last_pool: int = 3
    bias: bool = False
    local_response: bool = False
    form: str = "imagenet"
    widths: list[int] = field(default_factory=list)
    modules: int = 0
    dropout: float = 0.4
    bn_epsilon: float = 1e-3
    stands: str = "always"
    auxiliary: str = "none"

    def __post_init__(self):
        legal(self, large_kernel=(3, 5), last_pool=(2, 3), stands=STANDS, form=("imagenet", "stages"))
        legal(self, auxiliary=("none", *AUXILIARY_POOLS))
        rate(self)
        above_0(self, "bn_epsilon")
        if self.form == "imagenet":
            unread(self, "model.form=stages", "widths", "modules")
        else:
            unread(self, "model.form=imagenet", "last_pool", "local_response")
        if self.form == "stages" and (not self.widths or min(self.widths) < 16 or self.modules < 1):
            raise ValueError(
                f"model.widths={self.widths}, model.modules={self.modules}: a module has at least 16 channels, and a stage "
                "at least one module"
            )
        super().__post_init__()

    def architecture(self) -> Architecture:
        imagenet = self.form == "imagenet"
        stem, stages = (
            (self._layer(64, 7, 2), self._published()) if imagenet else (self._layer(self.widths[0], 3), self._small())
        )
        head, names = Head(dropouts=(self.dropout,)), [stage.name for stage in stages if stage.name]
        auxiliary = tuple(map(self._auxiliary, names))
        return Architecture(stem, stages, head=head, bn_epsilon=self.bn_epsilon, auxiliary=auxiliary)

    def _small(self) -> tuple[Stage, ...]:
        """Stages for small images; those that auxiliary classifiers read have names."""
        read = len(self.widths) - 1 if self.auxiliary != "none" else 0
        return tuple(
            Stage(
                (self._module(*_sizes(width)),) * self.modules,
                (Pool("max", 2, 2),) * (i > 0),
                f"stage{i + 1}" if i < read else "",
            )
            for i, width in enumerate(self.widths)
        )

    def _published(self) -> tuple[Stage, ...]:
        """The stages of Table 1, the middle one in three parts if auxiliary classifiers read it."""
        pool = Pool("max", 3, 2, pad=0, ceil=True)
        normalise = (LocalResponse(),) * self.local_response
        leads = (
            (pool, *normalise, self._layer(64, 1), self._layer(192, 3), *normalise, pool),
            (pool,),
            (pool if self.last_pool == 3 else Pool("max", 2, 2, ceil=True),),
        )
        third, fourth, fifth = (tuple(self._module(*sizes) for sizes in modules) for modules in MODULES)
        middle = [Stage(fourth, leads[1])]
        if self.auxiliary != "none":
            middle = [Stage(fourth[:1], leads[1], "4a"), Stage(fourth[1:4], name="4d"), Stage(fourth[4:])]
        return Stage(third, leads[0]), *middle, Stage(fifth, leads[2])

    def _auxiliary(self, reads: str) -> Auxiliary:
        """Sec. 5: 128 filters of 1x1, 1,024 hidden units, dropout of 0.7; its loss counts 0.3."""
        rows = AUXILIARY_POOLS[self.auxiliary], self._layer(128, 1)
        return Auxiliary(reads, rows, Head(cells=4, hidden=(1024,), dropouts=(0.0, 0.7)), weight=0.3)

    def _layer(self, filters: int, kernel: int, stride: int = 1) -> Layer:
        return Layer(filters, kernel, stride, bias=self.bias)

    def _module(self, one: int, reduce3: int, three: int, reduce5: int, five: int, projected: int) -> Unit:
        """An Inception module, Fig. 2(b)."""
        branches = (
            (self._layer(one, 1),),
            (self._layer(reduce3, 1), self._layer(three, 3)),
            (self._layer(reduce5, 1), self._layer(five, self.large_kernel)),
            (Pool("max", 3, 1), self._layer(projected, 1)),
        )
        return Unit((Parallel(branches),), stands=self.stands)


def _sizes(width: int) -> tuple[int, ...]:
    """The sizes of a module of this many channels, in the proportions of 3a."""
    three, five = width // 2, width // 8
    projected = width // 4 - five
    return width - three - five - projected, 3 * width // 8, three, max(1, width // 16), five, projected
