"""What a run costs: floating-point operations, seconds and bytes, from figures of its network and its measured steps.

Imports no JAX: the figures come from `calibrate`.
"""

import heapq
import math
import statistics
from dataclasses import dataclass

from ablations.config.run import Config
from ablations.data import catalogue

# A multiply-add is two operations, and the backward pass takes twice the forward one: the gradient of a
# product is two products.
FLOP_PER_MAC_TRAINED = 6


@dataclass(frozen=True)
class Figures:
    """What a configuration is, read off its abstract network and its lowered training step.

    macs: multiply-adds for one image, forward. traffic_bytes: what the convolutions and products of a
        training step read and write. program: digest of the training step's StableHLO.
    calls: the different numbers of steps that one call makes; each is a program of its own.
    weights_bytes: of the weights' file; state_bytes: of a checkpoint's arrays.
    """

    parameters: int
    macs: int
    traffic_bytes: int
    program: str
    calls: tuple[int, ...]
    weights_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class Timing:
    """A short measured run of one program on this machine; what could not be measured is None.

    import_seconds: from the start of the process until JAX has its device.
    trace, lower, compile: of the training step, nothing cached; cached: the compilation again, from the cache.
    start_seconds: from there to the first step and the first test, with every program compiled; `again`, with
        every program from the cache.
    steps: of one training step each, in the order measured, after the first call; test_seconds: of a batch.
    temporary_bytes, program_bytes: XLA's own analysis of the compiled step: what lives only within the
        step (the activations kept for the backward pass above all), and all that it needs at once.
    peak_bytes: the most that the accelerator, or on a CPU the process, has held.
    parts: where it was not 1, one of so many devices' part of a batch was measured, on one device.
    reason: why there are no seconds.
    """

    device: str = ""
    measured: str = ""
    import_seconds: float | None = None
    trace_seconds: float | None = None
    lower_seconds: float | None = None
    compile_seconds: float | None = None
    cached_seconds: float | None = None
    start_seconds: float | None = None
    start_again_seconds: float | None = None
    steps: tuple[float, ...] = ()
    test_seconds: float | None = None
    temporary_bytes: int | None = None
    program_bytes: int | None = None
    peak_bytes: int | None = None
    parts: int = 1
    reason: str = ""

    @property
    def step_seconds(self) -> float | None:
        """The median."""
        return statistics.median(self.steps) if self.steps else None


@dataclass(frozen=True)
class Ceilings:
    """What this device does at most, measured: a large matrix product and a large copy."""

    device: str
    precision: str
    flop_per_second: float
    bytes_per_second: float


def flop(config: Config, figures: Figures, steps: int) -> int:
    """Floating-point operations of so many training steps: 6 x MACs x images; evaluations are not counted."""
    return FLOP_PER_MAC_TRAINED * figures.macs * config.recipe.batch_size * steps


def seconds(config: Config, timing: Timing, done: int) -> float | None:
    """Seconds from the command to the record with `done` steps done already, all programs in the cache."""
    step, test_step = timing.step_seconds, timing.test_seconds
    importing, again = timing.import_seconds, timing.start_again_seconds
    if step is None or test_step is None or importing is None or again is None:
        return None
    recipe, (train, test) = config.recipe, catalogue.sizes(config.data)
    tests = math.ceil(recipe.total_steps / recipe.evaluate_every) - done // recipe.evaluate_every
    batches = _crops(config, tests) * math.ceil(test / min(recipe.batch_size, test))
    if recipe.bn_statistics == "exact":
        batches += train // recipe.batch_size  # one more pass, forward
    return importing + again + (recipe.total_steps - done) * step + batches * test_step


def exchange_bytes(figures: Figures, devices: int) -> float:
    """What each device sends in a step, of gradients in float32 summed around a ring of them."""
    return 2 * (devices - 1) / devices * 4 * figures.parameters


def _crops(config: Config, tests: int) -> float:
    """So many tests of the first of `data.test_crops`, and one of each other, in tests of crops of the size trained on."""
    data = config.data
    first, *others = [(pixels / data.crop_pixels) ** 2 for pixels in data.test_crops] or [1]
    return tests * first + sum(others)


def compile_seconds(figures: Figures, timing: Timing) -> float:
    """What the first run of a program pays more than the others, which find it in the cache; 0 where it was not measured."""
    if timing.start_seconds is None or timing.start_again_seconds is None:
        return 0.0
    return max(timing.start_seconds - timing.start_again_seconds, 0) * len(figures.calls)


def elapsed(runs: list[float], at_a_time: int) -> float:
    """Seconds until runs of these lengths, started in this order, have ended, so many at a time."""
    ends = [0.0] * at_a_time
    for run in runs:
        heapq.heapreplace(ends, ends[0] + run)
    return max(ends)
