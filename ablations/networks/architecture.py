"""A network as data: layers make branches, a branch with its shortcut makes a unit, units make stages.

A family of networks is a function from its few settings to such data; see `families/`. What is built from it is in
`network.py`. This module imports no JAX.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

FUNCTIONS = ("relu", "relu6", "hardswish")
STANDS = ("always", "equal", "never")
JOINS = ("add", "concatenate")
INITS = ("he_fan_out", "he_fan_in", "glorot_uniform")


def _at_least(part, **bounds: int) -> None:
    """Raise ValueError if one of these fields is too small; None says that it is not given."""
    for field, bound in bounds.items():
        value = getattr(part, field)
        if value is not None and value < bound:
            raise ValueError(f"{type(part).__name__}({field}={value}): must be at least {bound}")


@dataclass(frozen=True)
class Layer:
    """A convolution, and the activations that follow it by the activation order.

    kernel: side of its kernel. groups: it is a sum over only so many channels as there are in a group; as many groups
    as channels make it depthwise. pad: zeros on each side, None for (kernel - 1) / 2. activated: whether activations
    follow; between the two convolutions of a separable one there are none. excite: width of the hidden layer of a
    squeeze-and-excitation after the activations (Hu et al. 2017), 0 for none.
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    pad: int | None = None
    bias: bool = False
    activated: bool = True
    excite: int = 0

    def __post_init__(self):
        _at_least(self, filters=1, kernel=1, stride=1, groups=1, pad=0, excite=0)
        if self.kernel % 2 == 0 and self.pad is None:
            raise ValueError(f"Layer(kernel={self.kernel}): an even kernel has no middle; say pad=")


@dataclass(frozen=True)
class Pool:
    """Pooling by "max" or "average". pad: on each side, None for (kernel - 1) / 2 rounded down; ceil: the last pixels
    are pooled even if they do not fill a window.
    """

    kind: str
    kernel: int
    stride: int
    pad: int | None = None
    ceil: bool = False

    def __post_init__(self):
        if self.kind not in ("max", "average"):
            raise ValueError(f"Pool(kind={self.kind!r}): legal are max, average")
        _at_least(self, kernel=1, stride=1, pad=0)
        if self.kind == "average" and self.ceil:
            raise ValueError("Pool('average', ceil=True): the mean of a window that is not full is not defined here")

    def pads(self, side: int) -> tuple[int, int]:
        """The pixels that are added before and after a side of a map."""
        before = (self.kernel - 1) // 2 if self.pad is None else self.pad
        missing = -(side + 2 * before - self.kernel) % self.stride if self.ceil else 0
        return before, before + missing


@dataclass(frozen=True)
class Cells:
    """The mean over each of side x side parts of a map, which becomes that large, whatever its size was."""

    side: int

    def __post_init__(self):
        _at_least(self, side=1)


@dataclass(frozen=True)
class Parallel:
    """Branches side by side, whose outputs are concatenated: an Inception module (Szegedy et al. 2014)."""

    branches: "tuple[tuple[Row, ...], ...]"

    def __post_init__(self):
        if not self.branches:
            raise ValueError("Parallel(()): there is no branch")


@dataclass(frozen=True)
class Up:
    """A transposed convolution of 2x2 with stride 2: twice the height and the width. No activations follow."""

    filters: int
    bias: bool = True

    def __post_init__(self):
        _at_least(self, filters=1)


@dataclass(frozen=True)
class Bilinear:
    """Twice the height and the width by bilinear interpolation, in which corners stay corners. Without weights."""


@dataclass(frozen=True)
class Activate:
    """BN, if the activation order has any, and the activation function, outside of units."""


@dataclass(frozen=True)
class LocalResponse:
    """Local response normalisation over five channels; Krizhevsky et al. 2012, Sec. 3.3."""


@dataclass(frozen=True)
class Drop:
    """Dropout in a branch."""

    rate: float

    def __post_init__(self):
        if not 0 <= self.rate < 1:
            raise ValueError(f"Drop(rate={self.rate}): must be at least 0 and below 1")


Row = Layer | Pool | Cells | Parallel | Up | Bilinear | Activate | LocalResponse | Drop


@dataclass(frozen=True)
class Match:
    """How x gets the shape of F(x) if the two differ.

    projection_kernel: the size of a projection's kernel; None for zero padding. padding: "end": the channels of zeros
    come last; "both": half of them first. bias: whether a projection has one. BN follows it as it follows F.
    """

    projection_kernel: int | None = None
    padding: str = "end"
    bias: bool = False


@dataclass(frozen=True)
class Unit:
    """A branch F and where its shortcut stands: x' = f(h(x) + F(x)).

    stands: "always"; "equal": only if x and F(x) have the same shape, else the unit is f(F(x)); "never".
    join: "add", or "concatenate": x' = f([h(x), F(x)]), which is a sum after zero padding, [x, 0] + [0, F(x)].
    reads: the name of an earlier stage whose output the shortcut reads in place of x.
    before: whether the order's activations before F stand here; not if the unit's input was activated already.
    reads_activated: whether the shortcut reads what those activations make, if the shape changes.
    activated: whether the activation order stands here at all.
    """

    branch: tuple[Row, ...]
    stands: str = "always"
    join: str = "add"
    reads: str = ""
    function: str = "relu"
    match: Match = Match()
    before: bool = True
    reads_activated: bool = False
    activated: bool = True

    def __post_init__(self):
        for field, legal in (("stands", STANDS), ("join", JOINS), ("function", FUNCTIONS)):
            if (value := getattr(self, field)) not in legal:
                raise ValueError(f"Unit({field}={value!r}): legal are {', '.join(legal)}")

    def filters(self, channels: int, read: int | None = None) -> int:
        """The channels that leave the unit. read: the channels that its shortcut reads, if they are not those of x."""
        made = filters(self.branch, channels)
        return made + (channels if read is None else read) if self.join == "concatenate" else made

    def changes(self, channels: int) -> bool:
        """Whether a unit whose input has so many channels changes the shape of x."""
        return bool(self.reads) or (self.filters(channels), stride(self.branch)) != (channels, 1)


@dataclass(frozen=True)
class Stage:
    """Units one after another. entry: what leads to them, such as pooling. name: for what else reads its output."""

    units: tuple[Unit, ...]
    entry: tuple[Row, ...] = ()
    name: str = ""

    def __post_init__(self):
        if not self.units:
            raise ValueError(
                f"Stage(units=(), name={self.name!r}): a stage has at least one unit; its entry belongs to it"
            )


@dataclass(frozen=True)
class Head:
    """From the last map to logits: the mean over each of cells x cells parts of the map, hidden linear layers with the
    network's activation function, and the classifier.

    dropouts: the rate before each linear layer, the classifier's last; missing rates are 0. pixels: classify every
    pixel in place of the image.
    """

    cells: int = 1
    hidden: tuple[int, ...] = ()
    dropouts: tuple[float, ...] = ()
    pixels: bool = False

    def __post_init__(self):
        _at_least(self, cells=1)
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"Head(hidden={self.hidden}): must be at least 1")
        if len(self.dropouts) > len(self.hidden) + 1 or any(not 0 <= rate < 1 for rate in self.dropouts):
            raise ValueError(
                f"Head(dropouts={self.dropouts}): give at most one rate for each of the {len(self.hidden) + 1} linear "
                "layers, each at least 0 and below 1"
            )


@dataclass(frozen=True)
class Auxiliary:
    """A second classifier, which reads the output of a stage, by its name: rows, and a head of its own.

    Its loss, times `weight`, is added to that of the network in training. In tests it is not there.
    """

    reads: str
    rows: tuple[Row, ...]
    head: Head
    weight: float


@dataclass(frozen=True)
class Architecture:
    """A whole network: its first layer, stages, rows after the last unit, the head, and auxiliary classifiers.

    function: the activation function outside of units. last_activation: whether the order's activations before F also
    stand after the last unit (Sec. 4.1).
    """

    stem: Layer
    stages: tuple[Stage, ...]
    exit: tuple[Row, ...] = ()
    head: Head = Head()
    function: str = "relu"
    last_activation: bool = True
    init: str = "he_fan_out"
    bn_epsilon: float = 1e-5
    auxiliary: tuple[Auxiliary, ...] = ()

    def __post_init__(self):
        for field, legal in (("function", FUNCTIONS), ("init", INITS)):
            if (value := getattr(self, field)) not in legal:
                raise ValueError(f"Architecture({field}={value!r}): legal are {', '.join(legal)}")
        if not self.bn_epsilon > 0:
            raise ValueError(f"Architecture(bn_epsilon={self.bn_epsilon}): must be above 0")
        if not self.stages:
            raise ValueError("Architecture(stages=()): a network has at least one stage")
        if self.stem.excite:
            raise ValueError(
                f"Architecture(stem=Layer(excite={self.stem.excite})): the stem has no squeeze-and-excitation; a layer of a "
                "unit can have it"
            )
        _check_names(self)
        _check_shapes(self)

    @property
    def stacks(self) -> "tuple[Stack, ...]":
        """The stages in parts whose units, but for the first, are alike."""
        return tuple(_stacks(self))

    @property
    def layers(self) -> int:
        """The layers with weights, one after another, on the longest way; without shortcuts, squeezes and auxiliaries."""
        branches = [rows for stage in self.stages for rows in (stage.entry, *(unit.branch for unit in stage.units))]
        return 1 + sum(map(_layers, (*branches, self.exit))) + len(self.head.hidden) + 1

    def smallest_map(self, side: int) -> int:
        """The side of the smallest map of square images of this side; 0 if one of the layers has nothing left to see.

        Raises nothing: the caller says what is wrong.
        """
        sides, outputs = [side := _side((self.stem,), side)], {}
        for stack in self.stacks:
            for rows in (stack.entry, *(unit.branch for unit in stack.units)):
                sides.append(side := _side(rows, side))
            outputs[stack.stage] = side
        sides += [_side(each.rows, outputs[each.reads]) for each in self.auxiliary]
        return max(0, min(*sides, _side(self.exit, side)))

    def smallest_image(self) -> int | None:
        """The side of the smallest square images of which every layer sees something; None if there is none."""
        fits = next((2**i for i in range(17) if self.smallest_map(2**i)), None)
        if fits is None:
            return None
        return next(side for side in range(fits // 2 + 1, fits + 1) if self.smallest_map(side))

    def made_by(self, stage: str) -> int:
        """The channels that leave the stage of this name."""
        return next(stack.filters for stack in self.stacks if stack.stage == stage)


@dataclass(frozen=True)
class Stack:
    """Some units of a stage, all alike but for the first.

    channels, filters: those that enter the first unit and that leave the last one. reads: the channels that the shortcut of
    the first unit reads if they are not those of x. stage: the name of the stage that ends here, if it has one.
    number: of the stage that it is part of, from 0.
    """

    entry: tuple[Row, ...]
    units: tuple[Unit, ...]
    channels: int
    filters: int
    reads: int | None
    stage: str
    number: int

    @property
    def changes(self) -> bool:
        """Whether the first unit changes the shape of x."""
        return self.units[0].changes(self.channels)


def _stacks(architecture: Architecture) -> Iterator[Stack]:
    channels, saved = architecture.stem.filters, {}
    for number, stage in enumerate(architecture.stages):
        entry, left = stage.entry, list(stage.units)
        channels = filters(entry, channels)
        while left:
            first, *others = left
            read = saved[first.reads] if first.reads else None
            made, alike = first.filters(channels, read), 0
            if others and not others[0].changes(made):
                # Families give one unit many times: `is` is faster than to compare all fields.
                while alike < len(others) and (others[alike] is others[0] or others[alike] == others[0]):
                    alike += 1
            stack, left = tuple(left[: 1 + alike]), left[1 + alike :]
            yield Stack(entry, stack, channels, made, read, "" if left else stage.name, number)
            entry, channels = (), made
        if stage.name:
            saved[stage.name] = channels


def _layers(rows: Sequence[Row]) -> int:
    """The layers with weights on the longest way through these rows."""
    layers = sum(isinstance(row, Layer | Up) for row in rows)
    return layers + sum(max(map(_layers, row.branches)) for row in rows if isinstance(row, Parallel))


def filters(rows: Sequence[Row], channels: int) -> int:
    """The channels that leave these rows."""
    for row in rows:
        if isinstance(row, Layer | Up):
            channels = row.filters
        elif isinstance(row, Parallel):
            channels = sum(filters(branch, channels) for branch in row.branches)
    return channels


def stride(rows: Sequence[Row]) -> int | Fraction:
    """By how much these rows divide the height and the width of a map."""
    strides = [1, *(Fraction(1, 2) if isinstance(row, Up | Bilinear) else _stride(row) for row in rows)]
    return math.prod(strides)


def _stride(row: Row) -> int | Fraction:
    if isinstance(row, Parallel):
        return stride(row.branches[0])
    return row.stride if isinstance(row, Layer | Pool) else 1


def _side(rows: Sequence[Row], side: int) -> int:
    """The side of a square map of this side after these rows."""
    for row in rows:
        if not side:
            return 0
        if isinstance(row, Layer | Pool):
            pads = row.pads(side) if isinstance(row, Pool) else [row.kernel // 2 if row.pad is None else row.pad] * 2
            side = max(0, (side + sum(pads) - row.kernel) // row.stride + 1)
        elif isinstance(row, Cells):
            side = row.side
        elif isinstance(row, Parallel):
            side = _side(row.branches[0], side)
        elif isinstance(row, Up | Bilinear):
            side *= 2
    return side


def _check_names(architecture: Architecture) -> None:
    """Raise ValueError if a stage is read that is not there, or not yet, or if two stages have one name."""
    names = []
    for stage in architecture.stages:
        for unit in stage.units:
            if unit.reads and unit.reads not in names:
                raise ValueError(
                    f"Unit(reads={unit.reads!r}): no earlier stage has this name; there are {', '.join(names) or 'none'}"
                )
        if stage.name in names:
            raise ValueError(
                f"Stage(name={stage.name!r}): two stages have this name, so nobody knows which one is read"
            )
        names += [stage.name] if stage.name else []
    for each in architecture.auxiliary:
        if each.reads not in names:
            raise ValueError(
                f"Auxiliary(reads={each.reads!r}): no stage has this name; there are {', '.join(names) or 'none'}"
            )


# Sides of maps for which two ways are compared: large enough for every kernel, and with every remainder by strides up to 8.
# Pooling of 2x2 halves even sides as a shortcut does, and no odd ones, so two ways need to agree for one side only.
SIDES = range(256, 264)


def _check_shapes(architecture: Architecture) -> None:
    """Raise ValueError, which says where, if groups do not divide channels or maps that are joined differ in size."""
    channels, known = architecture.stem.filters, set()
    for stack in architecture.stacks:
        where = f"stages[{stack.number}]"
        _check_rows(stack.entry, channels, f"the entry of {where}")
        channels = stack.channels
        for unit in stack.units[:2]:  # the others are like the second
            _check_rows(unit.branch, channels, where)
            if id(unit) not in known and _stands(unit, channels):  # by identity: a family gives one unit many times
                known.add(id(unit))
                _check_side(unit, where)
            channels = stack.filters
    _check_rows(architecture.exit, channels, "exit")
    for each in architecture.auxiliary:
        _check_rows(each.rows, architecture.made_by(each.reads), f"the auxiliary classifier of {each.reads}")


def _check_rows(rows: Sequence[Row], channels: int, where: str) -> None:
    """channels: those that enter. Raises as `_check_shapes`."""
    for row in rows:
        if isinstance(row, Layer) and (channels % row.groups or row.filters % row.groups):
            raise ValueError(
                f"Layer(filters={row.filters}, groups={row.groups}) in {where}: reads {channels} channels; a number of "
                "groups must divide both"
            )
        if isinstance(row, Parallel):
            made = [sorted({_side(branch, side) for branch in row.branches}) for side in SIDES]
            if all(len(sides) > 1 for sides in made):
                raise ValueError(
                    f"Parallel in {where}: its branches make maps of different sizes, {' and '.join(map(str, made[0]))} of "
                    f"{SIDES[0]} pixels; let their strides and pads agree"
                )
            for branch in row.branches:
                _check_rows(branch, channels, where)
        channels = filters([row], channels)


def _stands(unit: Unit, channels: int) -> bool:
    """Whether a shortcut from x stands on a unit; what a long skip reads is cut to the size of F(x)."""
    return not unit.reads and (unit.stands == "always" or (unit.stands == "equal" and not unit.changes(channels)))


def _check_side(unit: Unit, where: str) -> None:
    """The shortcut takes every stride-th pixel, so F must give a map of that size. Raises as `_check_shapes`."""
    by = stride(unit.branch)
    if by < 1:
        raise ValueError(
            f"Unit in {where}: F enlarges its map, which no shortcut from x does; say stands='never' or reads="
        )
    if all(_side(unit.branch, side) != math.ceil(side / by) for side in SIDES):
        raise ValueError(
            f"Unit in {where}: of {SIDES[0]} pixels F makes {_side(unit.branch, SIDES[0])}, and a shortcut with its stride of "
            f"{by} {math.ceil(SIDES[0] / by)}; change a pad, or say stands='never'"
        )
