"""Residual networks; He et al. 2015a, "Deep Residual Learning for Image Recognition", and He et al. 2016.

A switch marked [?] is about something that the paper does not say; its default is our reading.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ablations.networks.architecture import INITS, Architecture, Layer, Match, Pool, Row, Stage, Unit
from ablations.networks.family import ModelConfig, above_0, legal, unread

BRANCHES = {"one_layer": 1, "basic": 2, "bottleneck": 3}  # convolutions in F
STEMS = ("cifar", "imagenet")
IMAGENET_UNITS = {  # units of each stage; He et al. 2015a, Table 1; 200: He et al. 2016, Sec. 5
    ("basic", 18): (2, 2, 2, 2),
    ("basic", 34): (3, 4, 6, 3),
    ("bottleneck", 50): (3, 4, 6, 3),
    ("bottleneck", 101): (3, 4, 23, 3),
    ("bottleneck", 152): (3, 8, 36, 3),
    ("bottleneck", 200): (3, 24, 36, 3),
}


@dataclass(kw_only=True)
class ResNet(ModelConfig):
    """A residual network.

    depth: number of weight layers; with the CIFAR stem, 6n + 2 for one-layer or basic units and 9n + 2 for
        bottleneck units; with the ImageNet stem, one of the published depths.
    branch: the convolutions of F: "one_layer" 3x3; "basic" 3x3, 3x3; "bottleneck" 1x1, 3x3, 1x1.
    stem: "cifar", 3x3 with stride 1; "imagenet", 7x7 with stride 2 and 3x3 max pooling with stride 2.
    dimension_change: "zero_padding" (option A) or "projection" (option B).
    """

    family: str = "resnet"
    depth: int
    branch: str
    stem: str = "cifar"
    dimension_change: str = "zero_padding"
    # What any shortcut reads under pre-activation if the shape changes: x, or the output of the activations
    # before F. [?] for option A; a projection reads the latter (Sec. 4.1, footnote).
    zero_padding_reads_activated: bool = False
    projection_reads_activated: bool = True
    projection_kernel: int = 1
    # [?] "end": the channels of zeros come last; "both": half of them first.
    padding: str = "end"
    # He et al. 2015a: the stride is on the first 1x1 convolution; Torch re-implementations put it on the 3x3.
    bottleneck_stride: str = "first_1x1"
    # Whether BN and ReLU follow the stem, before the first split, in all five orders; the first unit then has
    # none before its F. If not, the first unit is like the others.
    stem_activation: bool = True
    bias: bool = False  # of every convolution
    init: str = "he_fan_out"  # of weights
    bn_epsilon: float = 1e-5

    def __post_init__(self):
        legal(
            self,
            branch=tuple(BRANCHES),
            stem=STEMS,
            dimension_change=("zero_padding", "projection"),
            projection_kernel=(1, 3),
            padding=("end", "both"),
            bottleneck_stride=("first_1x1", "3x3"),
            init=INITS,
        )
        above_0(self, "bn_epsilon")
        if self.dimension_change == "projection":
            unread(self, "model.dimension_change=zero_padding", "padding", "zero_padding_reads_activated")
        else:
            unread(self, "model.dimension_change=projection", "projection_kernel", "projection_reads_activated")
        if self.branch != "bottleneck":
            unread(self, "model.branch=bottleneck", "bottleneck_stride")
        super().__post_init__()

    @property
    def label(self) -> str:
        return with_sizes(self.name, depth=self.depth)

    def architecture(self) -> Architecture:
        counts, projects = units_per_stage(self.stem, self.branch, self.depth), self.dimension_change == "projection"
        first = 64 if self.stem == "imagenet" else 16
        made = stages(
            self._branch,
            counts,
            [first * 2**i for i in range(len(counts))],
            match=Match(self.projection_kernel if projects else None, self.padding, self.bias),
            reads_activated=self.projection_reads_activated if projects else self.zero_padding_reads_activated,
            stem_activation=self.stem_activation,
            pool=self.stem == "imagenet",
        )
        first_layer = replace(stem(first, self.stem), activated=self.stem_activation, bias=self.bias)
        return Architecture(first_layer, made, init=self.init, bn_epsilon=self.bn_epsilon)

    def _branch(self, width: int, stride: int) -> tuple[Layer, ...]:
        """The convolutions of F. width: the channels of its 3x3 convolutions."""
        if self.branch == "one_layer":
            return (Layer(width, 3, stride, bias=self.bias),)
        if self.branch == "basic":
            return Layer(width, 3, stride, bias=self.bias), Layer(width, bias=self.bias)
        on_first, on_3x3 = (stride, 1) if self.bottleneck_stride == "first_1x1" else (1, stride)
        sizes = (width, 1, on_first), (width, 3, on_3x3), (4 * width, 1, 1)
        return tuple(Layer(*size, bias=self.bias) for size in sizes)


def stem(filters: int, kind: str) -> Layer:
    """3x3 with stride 1 for "cifar", 7x7 with stride 2 for "imagenet"."""
    return Layer(filters, *((7, 2) if kind == "imagenet" else (3, 1)))


def stages(
    branch: Callable[[int, int], tuple[Row, ...]],
    counts: Sequence[int],
    widths: Sequence[int],
    *,
    match: Match,
    reads_activated: bool,
    stem_activation: bool = True,
    pool: bool = False,
) -> tuple[Stage, ...]:
    """Stages of residual units, of which the first of each but the first stage has stride 2.

    branch: from a width and a stride to the rows of F. counts: the units of each stage. stem_activation: whether the
    first unit's input was activated already. pool: whether max pooling leads to the first stage.
    """
    made = []
    for i, (count, width) in enumerate(zip(counts, widths, strict=True)):
        unit = Unit(branch(width, 1), match=match, reads_activated=reads_activated)
        first = replace(unit, branch=branch(width, 2)) if i else replace(unit, before=not stem_activation)
        made.append(Stage((first, *[unit] * (count - 1)), (Pool("max", 3, 2),) if pool and i == 0 else ()))
    return tuple(made)


def units_per_stage(stem: str, branch: str, depth: int) -> tuple[int, ...]:
    """The number of units of each stage.

    Raises ValueError, with the nearest valid depths, if `depth` is not valid.
    """
    if stem == "imagenet":
        depths = [known for known_branch, known in IMAGENET_UNITS if known_branch == branch]
        if not depths:
            raise ValueError(
                f"model.branch={branch}: no ImageNet network with such units was published; choose basic or bottleneck"
            )
        if depth not in depths:
            raise ValueError(
                f"model.depth={depth}: an ImageNet network with {branch} units has one of the depths "
                f"{', '.join(map(str, depths))}"
            )
        return IMAGENET_UNITS[branch, depth]
    n = repeats(depth, 9 if branch == "bottleneck" else 6, 2, f"a network with {branch} units")
    return (2 * n if branch == "one_layer" else n,) * 3


def repeats(depth: int, period: int, others: int, what: str) -> int:
    """n of a network that is period n + others layers deep.

    Raises ValueError, with the nearest valid depths, if `depth` is not valid.
    """
    n, rest = divmod(depth - others, period)
    if rest or n < 1:
        below = max(n, 1) * period + others
        nearest = f"{below}" if n < 1 else f"{below} and {below + period}"
        raise ValueError(
            f"model.depth={depth}: {what} is {period}n + {others} layers deep; the nearest valid: {nearest}"
        )
    return n


def with_sizes(name: str, **sizes: int) -> str:
    """The name of a network, and these sizes if the numbers in the name are not those, one after another.

    resnet1202 with a depth of 20 is "resnet1202, depth 20".
    """
    numbers, wanted = re.findall(r"\d+", name), [str(size) for size in sizes.values()]
    if any(numbers[i : i + len(wanted)] == wanted for i in range(len(numbers))):
        return name
    return ", ".join([name, *(f"{what} {size}" for what, size in sizes.items())])
