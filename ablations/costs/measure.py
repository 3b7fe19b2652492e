"""Measuring a configuration on this machine: its figures, without running it, and its times, by a short run.

Images are synthetic, with the shape of the data set's, which need not be present.
"""

import contextlib
import hashlib
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ablations import randomness
from ablations.compilers import compile
from ablations.compilers.program import Compiled
from ablations.compilers.target import Target
from ablations.config.run import Config
from ablations.costs.cost import Ceilings, Figures, Timing
from ablations.data import catalogue, dataset
from ablations.networks import count
from ablations.runs.provenance import provenance
from ablations.training import calls, driver, feed, restore
from ablations.training.devices import Devices
from ablations.training.programs import DTYPES, needed_bytes
from ablations.training.steps import Steps

SECONDS, TEST_SECONDS = 3.0, 0.3  # of measured steps and tests
FEWEST, MOST = 3, 100  # calls
LONG_SECONDS = 10.0  # a first call that takes longer is not repeated: its warm-up is small beside it


def synthetic(config: Config, pixels: int | None = None) -> dataset.Dataset:
    """One batch of random images, as training set and as test set; `pixels` wide, or as wide as the data set's."""
    kind, size = catalogue.kind(config.data), config.recipe.batch_size
    height, width, channels = kind.image
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (size, pixels or height, pixels or width, channels), np.uint8)
    labels = random.integers(0, kind.classes, size, np.int32)
    if kind.task == "segmentation":
        labels = random.integers(0, kind.classes, images.shape[:3], np.uint8)
    return dataset.Dataset(config.data.name, kind.classes, images, labels, images, labels, kind.streamed)


def figures(config: Config, pixels: int | None = None, target: Target | None = None) -> Figures:
    """The figures of a configuration, here or for a target. Nothing is compiled, and no array of the network is made."""
    images = synthetic(config, pixels)
    steps = Steps(config, images, compile.absent(target, target.spread(config.devices)) if target else None)
    state, call = steps.abstract(), steps.call_length
    traced = steps.trace_train(call)
    text = steps.programs.lower(traced).as_text()
    return Figures(
        parameters=count.parameters(steps.network),
        macs=count.macs(steps.network, images.train_images.shape[1:]),
        traffic_bytes=count.traffic(traced.jaxpr.jaxpr) // call,
        program=hashlib.sha256(text.encode()).hexdigest(),
        weights_bytes=_bytes((state.params, state.others)),
        state_bytes=_bytes(state),
    )


def compiled(config: Config, target: Target) -> Compiled:
    """The training step of a configuration, compiled for a target."""
    # Images that are read from files are not in the program, and measuring the colours of all of them takes minutes.
    streamed = catalogue.kind(config.data).streamed
    return compile.training_step(config, synthetic(config) if streamed else restore.without_images(config.data), target)


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def timing(
    config: Config, import_seconds: float, pixels: int | None = None, meet: Callable[[], None] = lambda: None
) -> Timing:
    """Compile, start again from the compilation cache, and run a few steps.

    Expects a compilation cache without this program. meet: called before the steps are measured.
    """
    asked, (devices, config) = config, _here(config)
    call, images = calls.length(config, devices.platform), synthetic(config, pixels)
    began = time.perf_counter()
    steps, state, compiled, seconds = _start(config, images, call, devices)
    temporary, needed = needed_bytes(compiled)
    test_images = np.asarray(images.test_images)
    known: dict[str, Any] = {
        "device": provenance()["device"],
        "measured": datetime.now().astimezone().isoformat(timespec="minutes"),
        "import_seconds": import_seconds,
        "temporary_bytes": temporary,
        "program_bytes": needed,
        "parts": asked.recipe.batch_size // config.recipe.batch_size,
    } | seconds
    free = _free_bytes()
    if free is not None and needed is not None and needed > free:
        return Timing(**known, reason=f"a step needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free")
    steps.logits(state, test_images)
    known["start_seconds"] = time.perf_counter() - began
    jax.clear_caches()
    del steps, state, compiled  # no room for two states at once
    began = time.perf_counter()
    steps, state, compiled, seconds = _start(config, images, call, devices)
    steps.logits(state, test_images)
    known |= {"start_again_seconds": time.perf_counter() - began, "cached_seconds": seconds["compile_seconds"]}
    del compiled  # the same program is called through `steps` below
    tests = []
    while not _enough(tests, TEST_SECONDS):
        began = time.perf_counter()
        steps.logits(state, test_images)
        tests.append(time.perf_counter() - began)
    known["test_seconds"] = statistics.median(tests)
    runs = (config.runs_at_a_time or 1) if config.packing in ("interleaved", "vmap") else 1
    size = config.recipe.batch_size
    batches = feed.gather(images, randomness.batches(0, 0, call, size, size))
    states = [state, *(steps.init() for _ in range(runs - 1))]
    taken = []
    meet()
    while not _enough(taken, SECONDS):
        began, compile_seconds = time.perf_counter(), steps.programs.compile_seconds
        states = _call(config.packing, steps, states, batches)
        taken.append(time.perf_counter() - began - (steps.programs.compile_seconds - compile_seconds))
    known["steps"] = tuple(seconds / call for seconds in taken[1:] or taken)
    return Timing(**known, peak_bytes=_peak_bytes())


def _call(packing: str, steps: Steps, states: list, batches: feed.Batches) -> list:
    """Make one call of each run, packed, and wait for all of them."""
    if packing == "vmap":
        keys = [steps.data["key"]] * len(states)
        states, _, _ = driver.start_together(steps, states, keys, [batches] * len(states))
    else:
        states = [steps.start(state, batches)[0] for state in states]
    return jax.block_until_ready(states)


def _here(config: Config) -> tuple[Devices, Config]:
    """The devices of a configuration, and itself; if there are fewer here, one device with its part of a batch."""
    devices = config.devices or 1
    if devices <= jax.local_device_count():
        return Devices.configured(config), config
    images = config.recipe.batch_size // devices
    group = config.recipe.bn_group
    # Groups that span devices: the exchange between devices is not measured, only a device's part of a group.
    group = None if group in (None, "device") or images % group else group
    return Devices.here(1), replace(config, devices=1, recipe=replace(config.recipe, batch_size=images, bn_group=group))


def _start(config: Config, images: dataset.Dataset, call: int, devices: Devices):
    """Do everything before the first step. Returns the steps, a state, the compiled training step, and its seconds."""
    steps = Steps(config, images, devices)
    state = steps.init()
    compiled, seconds = steps.programs.compile_and_time(lambda: steps.trace_train(call))
    return steps, state, compiled, seconds


def _enough(calls: list[float], seconds: float) -> bool:
    """Whether these calls, of which the first one is a warm-up, are enough."""
    if not calls or calls[0] > LONG_SECONDS:
        return bool(calls)
    return len(calls) > MOST or (len(calls) > FEWEST and sum(calls[1:]) >= seconds)


def _peak_bytes() -> int | None:
    """The most memory that the accelerator or, on a CPU, this process has held."""
    if jax.default_backend() != "cpu":
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _free_bytes() -> int | None:
    """Memory that is free now, on the accelerator or else in this machine; None if it cannot be told."""
    if stats := jax.devices()[0].memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"] if "bytes_limit" in stats else None
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None


def ceilings(config: Config) -> Ceilings:
    """Measure a large matrix product in the configuration's two precisions, and a large copy: the fastest of several."""
    accelerator = jax.default_backend() != "cpu"
    side, megabytes = (8192, 1024) if accelerator else (1536, 128)
    matrix = jnp.ones((side, side), DTYPES[config.precision])
    large = jnp.ones(megabytes * 2**20 // 4, jnp.float32)
    product = _fastest(jax.jit(partial(jnp.matmul, precision=config.matmul_precision)), matrix, matrix)
    copy = _fastest(jax.jit(jnp.negative), large)  # reads and writes all of it; XLA would leave a mere copy out
    return Ceilings(provenance()["device"], config.precision, 2 * side**3 / product, 2 * large.nbytes / copy)


def _fastest(program, *arguments) -> float:
    calls = []
    while not _enough(calls, 1.0):
        began = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        calls.append(time.perf_counter() - began)
    return min(calls)
