"""What is known of a compiled training step, and the time that a device with the figures of its data sheet needs for it.

All of it is of one device, and of one step. Nothing was run: the figures are XLA's, or counted in what it compiled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from ablations.compilers.hlo import Kernel
from ablations.compilers.target import Target

SMALL_BYTES = 100_000  # an H100 moves so many in 30 ns: such a kernel costs its launch
LAUNCH_SECONDS = 2e-6  # an assumption: between the starts of two kernels on a GPU, without CUDA graphs


class Collectives(NamedTuple):
    """The exchanges between devices in a step. bytes: what a device hands in."""

    number: float
    bytes: float
    dtypes: tuple[str, ...]


class Sum(NamedTuple):
    """What the kernels of a kind, or of one name, add up to in a step."""

    times: float
    bytes: float
    cycles: float


@dataclass(frozen=True)
class Program:
    """A compiled training step. steps: how many of them a call makes.

    temporary_bytes: memory that lives only within a call. peak_bytes: by XLA's analysis, the most of it that is in use
    at once. argument_bytes: of the state, the images and the batches. needed_bytes: all that must be there for a call:
    arguments, results that do not take their place, temporaries.
    kernels: all of them, in their order.
    """

    steps: int
    temporary_bytes: int
    peak_bytes: int
    argument_bytes: int
    needed_bytes: int
    kernels: tuple[Kernel, ...]

    @property
    def launched(self) -> list[Kernel]:
        """The kernels that are started one by one: on a TPU, those that XLA gives cycles."""
        timed = [kernel for kernel in self.kernels if kernel.cycles is not None]
        return timed or list(self.kernels)

    @property
    def kernel_count(self) -> float:
        return sum(kernel.times for kernel in self.launched)

    @property
    def small_count(self) -> float:
        return sum(kernel.times for kernel in self.launched if kernel.size < SMALL_BYTES)

    @property
    def traffic_bytes(self) -> float:
        """What all kernels read from the device's memory and write to it."""
        return sum(kernel.times * kernel.size for kernel in self.kernels)

    @property
    def cycles(self) -> float | None:
        """XLA:TPU's own estimate; None for a GPU."""
        if all(kernel.cycles is None for kernel in self.kernels):
            return None
        return sum(kernel.times * (kernel.cycles or 0) for kernel in self.kernels)

    @property
    def collectives(self) -> Collectives:
        exchanges = [kernel for kernel in self.kernels if kernel.kind == "collective"]
        sent = sum(kernel.times * kernel.size / 2 for kernel in exchanges)  # the size has what comes back, too
        return Collectives(
            sum(kernel.times for kernel in exchanges), sent, tuple(sorted({kernel.dtype for kernel in exchanges}))
        )

    def kinds(self) -> dict[str, Sum]:
        """The sums of each kind of kernel, the heaviest kind first."""
        names = {kernel.kind for kernel in self.kernels}
        sums = {name: _sum(kernel for kernel in self.kernels if kernel.kind == name) for name in names}
        return dict(sorted(sums.items(), key=lambda item: (-item[1].cycles, -item[1].bytes, item[0])))

    def heaviest(self, count: int) -> list[Kernel]:
        """The kernels with the most cycles in a step or, on a GPU, with the most bytes.

        Kernels that are alike, as those of units that are written out, are one, with the name of the first.
        """
        alike: dict[tuple, list[Kernel]] = {}
        for kernel in self.kernels:
            alike.setdefault((kernel.kind, kernel.size, kernel.dtype, kernel.cycles, kernel.source), []).append(kernel)
        joined = [replace(group[0], times=sum(kernel.times for kernel in group)) for group in alike.values()]
        return sorted(joined, key=lambda k: (-k.times * (k.cycles or 0), -k.times * k.size, k.name))[:count]


def _sum(kernels: Iterable[Kernel]) -> Sum:
    chosen = list(kernels)
    return Sum(
        sum(kernel.times for kernel in chosen),
        sum(kernel.times * kernel.size for kernel in chosen),
        sum(kernel.times * (kernel.cycles or 0) for kernel in chosen),
    )


@dataclass(frozen=True)
class Compiled:
    """A compiled training step with its texts: in StableHLO, as it is given to XLA, and in HLO, as XLA optimised it."""

    program: Program
    stablehlo: str
    hlo: str

    @classmethod
    def from_json(cls, content: dict) -> Self:
        """The inverse of `asdict`. Raises TypeError or KeyError if it is something else."""
        kernels = tuple(Kernel(**kernel) for kernel in content["program"]["kernels"])
        program = Program(**content["program"] | {"kernels": kernels})
        return cls(program, content["stablehlo"], content["hlo"])


@dataclass(frozen=True)
class Bound:
    """The least seconds that a step takes, for each thing that it must wait for."""

    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """They all go on at once, so the slowest decides."""
        return max(self.parts.values())

    @property
    def reason(self) -> str:
        return max(self.parts, key=lambda part: self.parts[part])

    def without(self, part: str) -> "Bound":
        return Bound({name: seconds for name, seconds in self.parts.items() if name != part})


def bound(program: Program, target: Target, flop: float, precision: str) -> Bound:
    """The bound of a step with so many FLOP on each device: as fast as the data sheet says, with nothing in caches."""
    parts = {
        "bytes": program.traffic_bytes / target.bytes_per_second,
        "FLOP": flop / target.flop_per_second[precision],
    }
    if target.platform == "cuda":
        parts["launches"] = program.kernel_count * LAUNCH_SECONDS
    elif program.cycles is not None and target.cycles_per_second:
        parts["cycles"] = program.cycles / target.cycles_per_second
    return Bound(parts)
