"""What grows with depth and with runs: `python -m benchmarks.growth depth` and `python -m benchmarks.growth runs`.

depth: seconds to the first step, seconds of a step and its memory, for networks with more and more layers. The last
line says how strongly each grows: p in depth^p, between the first network and the last.
runs: memory, open files, compiled programs and arrays of one process that trains many tiny networks one after the
other, each with a program of its own, as a worker of a sweep does.
"""

import argparse
import gc
import math
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import yaml

from ablations.config.run import Config
from ablations.costs import calibrate
from ablations.costs.cost import Timing
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import commit, versions
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.terminal.units import short, size
from ablations.training import environment
from benchmarks.cases import Case

DEPTHS = (20, 56, 110, 302, 602, 1202)
COLUMNS = {
    "first step": ("start_seconds", short),
    "cached": ("start_again_seconds", short),
    "compile": ("compile_seconds", short),
    "step": ("step_seconds", short),
    "memory of a step": ("program_bytes", size),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("depth", "runs"))
    parser.add_argument("--data", choices=("digits", "cifar10"), default="digits", help="the size of the images")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration, as in unroll=true"
    )
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="numbers of layers, each 6n + 2")
    parser.add_argument("--runs", type=int, default=200)
    settings = parser.parse_args()
    config = Case("resnet20", "original", settings.data, settings.batch, "f32").config(settings.threads, 20)
    for setting in settings.set:
        config = change(config, *setting.split("=", 1))
    rows, notes = (
        depth(config, settings.depths) if settings.what == "depth" else runs(at_depth(config, 8), settings.runs)
    )
    print(grid.markdown(title(config, settings), rows, notes), end="")


def title(config: Config, settings) -> str:
    what = [f"{settings.what}: {config.data.name}, batch {config.recipe.batch_size}", *settings.set]
    machine = f"{processor()}, {config.threads} threads, jax {versions()['jax']}, commit {commit()[:12]}"
    return f"{', '.join(what)} ({machine})"


def change(config: Config, key: str, value: str) -> Config:
    """The configuration with another value. key: with dots, such as unroll or model.padding."""
    part, _, rest = key.partition(".")
    return replace(config, **{part: change(getattr(config, part), rest, value) if rest else yaml.safe_load(value)})


def at_depth(config: Config, depth: int) -> Config:
    return replace(config, model=replace(config.model, name=f"resnet{depth}", depth=depth))


def depth(config: Config, depths) -> tuple[list[dict], list[str]]:
    """Measure each network in a process of its own, with an empty compilation cache."""
    timings = {}
    for layers in depths:
        [timings[layers]] = calibrate.request(Timing, [at_depth(config, layers)])
        print(f"{layers}: {short(timings[layers].step_seconds)} a step", file=sys.stderr, flush=True)
    rows = [
        {"depth": str(layers)} | {name: form(getattr(timing, field)) for name, (field, form) in COLUMNS.items()}
        for layers, timing in timings.items()
    ]
    first, last = min(depths), max(depths)
    if first < last:
        powers = {name: _power(timings, first, last, field) for name, (field, _) in COLUMNS.items()}
        rows.append({"depth": "p in depth^p"} | powers)
    return rows, [f"{layers}: {timings[layers].reason}" for layers in timings if timings[layers].reason]


def _power(timings: dict[int, Timing], first: int, last: int, field: str) -> str:
    at_first, at_last = getattr(timings[first], field), getattr(timings[last], field)
    return "-" if not at_first or not at_last else f"{math.log(at_last / at_first) / math.log(last / first):.2f}"


def runs(config: Config, count: int) -> tuple[list[dict], list[str]]:
    """Train the network `count` times in this process for two steps each, each with another learning rate."""
    # The result does not depend on how well a program is optimised, or whether it comes from the cache.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")
    environment.prepare(config)
    from ablations.training.loop import train

    rows = []
    with tempfile.TemporaryDirectory() as runs_dir:
        for i in range(1, count + 1):
            recipe = replace(config.recipe, total_steps=2, evaluate_every=2, learning_rate=1e-4 * i)
            run = replace(config, recipe=recipe, runs_dir=runs_dir, row=str(i))
            folder = RunFolder.of(run).path
            folder.mkdir(parents=True)
            train(run, folder, quiet=True)
            if i in {1, 2, 5, 10, count} or i % 50 == 0:
                rows.append({"runs": str(i)} | resources())
                print(*rows[-1].values(), file=sys.stderr, flush=True)
    return rows, []


def resources() -> dict[str, str]:
    """What this process holds now. Memory and open files are read as on Linux."""
    import jax

    gc.collect()
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "memory": size(memory),
        "open files": str(len(os.listdir("/proc/self/fd"))),
        "compiled programs": str(len(jax.devices()[0].client.live_executables())),
        "arrays": str(len(jax.live_arrays())),
    }


if __name__ == "__main__":
    main()
