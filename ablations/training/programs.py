"""Compiled programs: traced, lowered and compiled for a run's devices, kept, and measured.

The devices may be elsewhere: a program for a GPU or a TPU is lowered, and looked at, on a machine that has none. What
a program is like decides the platform of its devices alone, never that of the machine it is made on.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data import config as data_sets
from ablations.networks.kernels import convolution
from ablations.training.devices import Devices

DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}

# Elsewhere than on a CPU, where convolutions in a loop are slow, many steps make one call.
MOST_STEPS_PER_CALL = 100


class Programs:
    """The programs of one run, each compiled once.

    threads: of XLA on a CPU. compile_seconds: what lowering and compiling have taken so far.
    """

    def __init__(self, devices: Devices, threads: int):
        self.devices, self.threads = devices, threads
        self.compile_seconds = 0.0
        self._compiled = {}

    def call(self, name: tuple | str, function: Callable, *arguments, **options):
        """Call a function, compiled the first time that something of this name is called. options: of `jax.jit`."""
        if name not in self._compiled:
            start = time.perf_counter()
            self._compiled[name] = self.compile(self.lower(self.trace(function, *arguments, **options)))
            self.compile_seconds += time.perf_counter() - start
        return self.devices.wait_on_cpu(self._compiled[name](*arguments))

    def trace(self, function: Callable, *arguments, **options) -> jax.stages.Traced:
        """The program of a function, in the form that is fast on the devices. arguments: arrays, or their shapes."""
        with convolution.placed(self.devices.platform, self.devices.count):
            return jax.jit(function, **options).trace(*arguments)

    def lower(self, traced: jax.stages.Traced) -> jax.stages.Lowered:
        return traced.lower(lowering_platforms=self.devices.lowering_platforms)

    def compile(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        return lowered.compile(convolution.compiler_options(self.threads, self.devices.platform))

    def text(self, name: tuple | str) -> str:
        """The optimised HLO of a program that was called by this name."""
        return self._compiled[name].as_text()

    def measured(self, trace: Callable[[], jax.stages.Traced]) -> tuple[jax.stages.Compiled, dict[str, float]]:
        """A program, compiled, and the seconds that each step to it took; it is not kept."""
        start = time.perf_counter()
        traced = trace()
        trace_end = time.perf_counter()
        lowered = self.lower(traced)
        lower_end = time.perf_counter()
        compiled = self.compile(lowered)
        seconds = {"trace_seconds": trace_end - start, "lower_seconds": lower_end - trace_end}
        return compiled, seconds | {"compile_seconds": time.perf_counter() - lower_end}


def needed_bytes(compiled: jax.stages.Compiled) -> tuple[int, int] | tuple[None, None]:
    """The memory that a program takes while it runs: its temporaries, and all of it with what it reads and returns."""
    memory = compiled.memory_analysis()
    if memory is None:  # not every platform has it
        return None, None
    in_and_out = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.temp_size_in_bytes, in_and_out + memory.temp_size_in_bytes


def steps_a_call(config: Config, step: int, platform: str) -> int:
    """How many steps the call makes that begins at `step`: one where its images have to come here first.

    Calls end where they end in a run that was never stopped: other calls, other last bits.
    """
    recipe, streamed = config.recipe, data_sets.DATASETS[config.data.name].streamed
    most = 1 if streamed or platform == "cpu" else MOST_STEPS_PER_CALL
    return min(most - step % recipe.evaluate_every % most, next_evaluation(recipe, step) - step)


def next_evaluation(recipe: RecipeConfig, step: int) -> int:
    """The first step after `step` that is followed by an evaluation."""
    return min(step - step % recipe.evaluate_every + recipe.evaluate_every, recipe.total_steps)
