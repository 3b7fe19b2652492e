"""Compiled programs: traced, lowered and compiled for a run's devices, kept, and measured.

The devices need not be here: a program for a GPU or a TPU can be lowered and inspected on a machine without one. The
platform of its devices alone decides what a program looks like, never that of the machine it is made on.
"""

import contextlib
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
from flax import nnx

from ablations import setting
from ablations.config.run import Config
from ablations.data.dataset import Dataset
from ablations.networks import registry, stack
from ablations.networks.kernels import convolution, placement
from ablations.training import determinism
from ablations.training.devices import Devices

DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}


class Programs:
    """The programs of one run, each compiled once.

    threads: those of XLA on a CPU. matmul_precision, deterministic: as in `Config`.
    alike: whatever else decides the programs, as `alike` says. Runs of one process for which all of this is equal share
        their programs; with None, a run has its own.
    compile_seconds: the time that this run has spent lowering and compiling so far.
    """

    def __init__(
        self,
        devices: Devices,
        threads: int,
        *,
        matmul_precision: str = "default",
        deterministic: bool = False,
        alike: Hashable = None,
    ):
        self.devices, self.threads = devices, threads
        self.matmul_precision, self.deterministic = matmul_precision, deterministic
        self.compile_seconds = 0.0
        shared = devices, threads, matmul_precision, deterministic, alike
        self._compiled = _compiled(shared) if alike else {}

    def call(self, name: tuple | str, function: Callable, *arguments, **options):
        """Call a function, compiled at the first call under this name. options: those of `jax.jit`."""
        if name not in self._compiled:
            start = time.perf_counter()
            self._compiled[name] = self.compile(self.lower(self.trace(function, *arguments, **options)))
            self.compile_seconds += time.perf_counter() - start
        return self.devices.wait_on_cpu(self._compiled[name](*arguments))

    def trace(self, function: Callable, *arguments, **options) -> jax.stages.Traced:
        """Trace a function, in the form that is fast on the devices. arguments: arrays, or their shapes."""
        with placement.placed(self.devices.platform, self.devices.count), self._precision():
            return jax.jit(function, **options).trace(*arguments)

    def jit(self, function: Callable) -> Callable:
        """`jax.jit` of a function that is no step, such as a measurement, whose products are as exact as a step's."""

        def precise(*arguments):
            with self._precision():
                return function(*arguments)

        return jax.jit(precise)

    def _precision(self) -> contextlib.AbstractContextManager[None]:
        """Trace convolutions and matrix products with the run's precision, whatever the user's environment says."""
        return jax.default_matmul_precision(self.matmul_precision)

    def lower(self, traced: jax.stages.Traced) -> jax.stages.Lowered:
        return traced.lower(lowering_platforms=self.devices.lowering_platforms)

    def compile(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        try:
            return lowered.compile(self.compiler_options | stack.compiler_options(self.devices.platform))
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
            return lowered.compile(self.compiler_options)  # of another version of the compiler

    @property
    def compiler_options(self) -> dict[str, str | bool]:
        """XLA's options for every program."""
        platform = self.devices.platform
        fast = convolution.compiler_options(self.threads, platform)
        return fast | determinism.compiler_options(self.deterministic, platform)

    def text(self, name: tuple | str) -> str:
        """The optimised HLO of the program that was called under this name."""
        return self._compiled[name].as_text() or ""  # not every platform has it

    def compile_and_time(self, trace: Callable[[], jax.stages.Traced]) -> tuple[jax.stages.Compiled, dict[str, float]]:
        """Compile a program, without keeping it. Also returns the seconds for tracing, lowering and compiling."""
        start = time.perf_counter()
        traced = trace()
        trace_end = time.perf_counter()
        lowered = self.lower(traced)
        lower_end = time.perf_counter()
        compiled = self.compile(lowered)
        seconds = {"trace_seconds": trace_end - start, "lower_seconds": lower_end - trace_end}
        return compiled, seconds | {"compile_seconds": time.perf_counter() - lower_end}


def alike(config: Config, graphdef: nnx.GraphDef, data: dict[str, jax.Array], dataset: Dataset) -> Hashable:
    """All that the programs of a run have in them besides their arguments; None if the run is to have its own, as with
    a user's shortcut: a function that it calls may have been defined anew since.

    graphdef, data: of its `Steps`.
    """
    if not registry.is_ours(type(config.shortcut)):
        return None
    settings = setting.deciding(replace(config, seed=0)) | setting.speed(config)
    # Its numbers are arguments; a count, as the size of a gate's kernel, makes other arrays.
    settings["shortcut"] = {key: value for key, value in settings["shortcut"].items() if not isinstance(value, float)}
    shapes = jax.tree.map(jax.typeof, data), dataset.classes, dataset.test_images.shape
    return graphdef, repr(settings), repr(shapes)


@lru_cache(maxsize=8)
def _compiled(shared: Hashable) -> dict[tuple | str, jax.stages.Compiled]:
    """The programs, by name, of all runs for which `shared` is equal."""
    return {}


def needed_bytes(compiled: jax.stages.Compiled) -> tuple[int, int] | tuple[None, None]:
    """The bytes that a program needs while it runs: for temporaries, and in total with its arguments and results."""
    memory = compiled.memory_analysis()
    if memory is None:  # not every platform has it
        return None, None
    in_and_out = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.temp_size_in_bytes, in_and_out + memory.temp_size_in_bytes
