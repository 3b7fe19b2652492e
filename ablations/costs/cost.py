"""What a run costs: floating-point operations, seconds and bytes, from its network's figures and measured steps.

Imports no JAX: `calibrate` provides the figures.
"""

import heapq
import math
import statistics
from dataclasses import dataclass

from ablations.config.run import Config
from ablations.data import catalogue

# A multiply-add is two operations, and the backward pass takes twice as many as the forward pass: the gradient of a
# product is two products.
FLOP_PER_MAC_TRAINED = 6


@dataclass(frozen=True)
class Figures:
    """Figures of a configuration, read off its abstract network and its lowered training step.

    macs: multiply-adds of the forward pass for one image. traffic_bytes: read and written by the convolutions and
        matrix products of a training step. program: digest of the training step's StableHLO.
    weights_bytes: size of the weights file; state_bytes: size of a checkpoint's arrays.
    """

    parameters: int
    macs: int
    traffic_bytes: int
    program: str
    weights_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class Timing:
    """A short measured run of one program on this machine; None for what could not be measured.

    import_seconds: from the start of the process until JAX has its device.
    trace_seconds, lower_seconds, compile_seconds: for the training step, with an empty cache; cached_seconds: for
        compiling it again, from the cache.
    start_seconds: from then until the first step and the first test, with every program compiled; start_again_seconds:
        the same with every program in the cache.
    steps: seconds of single training steps, in order, after the first call; test_seconds: of a test batch.
    temporary_bytes, program_bytes: by XLA's analysis of the compiled step: memory that lives only within the step
        (mostly activations kept for the backward pass), and all that it needs at once.
    peak_bytes: the most memory that the accelerator, or on a CPU the process, has held.
    parts: if not 1, one device was measured with its share of a batch that is divided among this many devices.
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
        """The median of `steps`."""
        return statistics.median(self.steps) if self.steps else None


@dataclass(frozen=True)
class Ceilings:
    """What this device can do, measured: a large matrix product and a large copy."""

    device: str
    precision: str
    flop_per_second: float
    bytes_per_second: float


def flop(config: Config, figures: Figures, steps: int) -> int:
    """Floating-point operations of this many training steps, 6 x MACs x images, without evaluations."""
    return FLOP_PER_MAC_TRAINED * figures.macs * config.recipe.batch_size * steps


def seconds(config: Config, timing: Timing, done: int) -> float | None:
    """Seconds from the command to the record if `done` steps are done and all programs are in the cache."""
    step, test_step = timing.step_seconds, timing.test_seconds
    importing, again = timing.import_seconds, timing.start_again_seconds
    if step is None or test_step is None or importing is None or again is None:
        return None
    recipe, (train, test) = config.recipe, catalogue.sizes(config.data)
    tests = math.ceil(recipe.total_steps / recipe.evaluate_every) - done // recipe.evaluate_every
    batches = _crops(config, tests) * math.ceil(test / min(recipe.batch_size, test))
    if recipe.bn_statistics == "exact":
        batches += train // recipe.batch_size  # one more forward pass
    return importing + again + (recipe.total_steps - done) * step + batches * test_step


def exchange_bytes(figures: Figures, devices: int, precision: str) -> float:
    """Bytes that each device sends in a step if gradients are summed around a ring.

    XLA sums those of kernels, which are almost all, in the precision in which they are computed.
    """
    return 2 * (devices - 1) / devices * {"f32": 4, "bf16": 2}[precision] * figures.parameters


def _crops(config: Config, tests: int) -> float:
    """All tests of a run, `tests` with the first crop and one with each other, in tests at the training crop size."""
    data = config.data
    first, *others = [(pixels / data.crop_pixels) ** 2 for pixels in data.test_crops] or [1]
    return tests * first + sum(others)


def compile_seconds(timing: Timing) -> float:
    """Extra seconds that the first run of a program takes, as later runs find it in the cache; 0 if not measured."""
    if timing.start_seconds is None or timing.start_again_seconds is None:
        return 0.0
    return max(timing.start_seconds - timing.start_again_seconds, 0)


def elapsed(runs: list[float], at_a_time: int) -> float:
    """Seconds until runs of these lengths have ended, if they are started in this order, `at_a_time` at a time."""
    ends = [0.0] * at_a_time
    for run in runs:
        heapq.heapreplace(ends, ends[0] + run)
    return max(ends)
