"""How a step scales over devices: `python -m benchmarks.devices`.

The global batch stays the same, whatever the number of devices, and all numbers are measured in turn, round after
round, in one process; each ratio is taken within a round. Without accelerators the devices are simulated: they share
the cores of this machine, so using more devices than cores gains nothing, and the ratio shows what spreading the work
costs.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace

import numpy as np

from ablations.runs.provenance import commit, versions
from ablations.system import machine as accelerators
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.terminal.units import short
from ablations.training import environment
from benchmarks.cases import Case

GROUPS = {"null": None, "device": "device"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--data", choices=("digits", "cifar10"), default="cifar10", help="the size of the images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--devices", type=int, nargs="+", default=(1, 2, 4, 8))
    parser.add_argument("--bn", nargs="+", choices=GROUPS, default=list(GROUPS), help="recipe.bn_group")
    parser.add_argument("--rounds", type=int, default=7)
    settings = parser.parse_args()
    if not accelerators.usable():
        simulated = f"--xla_force_host_platform_device_count={max(settings.devices)}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {simulated}"
    config = Case(settings.model, "original", settings.data, settings.batch, "f32").config(1, 20)
    environment.prepare(config)
    del os.environ["NPROC"]  # all cores, for all devices
    rows = measure(config, settings.devices, settings.bn, settings.rounds)
    machine = f"{processor()}, jax {versions()['jax']}, commit {commit()[:12]}"
    title = f"{settings.model}, {settings.data}, batch {settings.batch}, {settings.rounds} rounds ({machine})"
    print(grid.markdown(title, rows, []), end="")


def measure(config, counts, groups, rounds: int) -> list[dict]:
    """One row for each number of devices and choice of BN."""
    import jax

    from ablations.costs.measure import synthetic
    from ablations.training.devices import Devices
    from ablations.training.steps import Steps

    images, batch = synthetic(config), np.arange(config.recipe.batch_size, dtype=np.int32)[None]
    runs, states, seconds = {}, {}, {}
    for count in counts:
        for group in groups:
            grouped = replace(config, recipe=replace(config.recipe, bn_group=GROUPS[group]))
            runs[count, group] = Steps(grouped, images, Devices.here(count))
            states[count, group] = runs[count, group].init()
            seconds[count, group] = []
    for round_ in range(rounds + 1):  # the first round compiles
        for key, steps in runs.items():
            began = time.perf_counter()
            states[key], *_ = jax.block_until_ready(steps.start(states[key], batch))
            if round_:
                seconds[key].append(time.perf_counter() - began)
    rows = []
    for (count, group), times in seconds.items():
        first = seconds[counts[0], group]
        ratios = [baseline / time for baseline, time in zip(first, times, strict=True)]
        program = runs[count, group].programs.text(("train", 1))
        rows.append(
            {
                "devices": str(count),
                "bn_group": group,
                "step": short(statistics.median(times)),
                "images/s": f"{config.recipe.batch_size / statistics.median(times):,.0f}",
                f"of {counts[0]}": f"{statistics.median(ratios):.2f} ({min(ratios):.2f} ... {max(ratios):.2f})",
                "sums over devices": str(program.count(" all-reduce(") + program.count(" all-reduce-start(")),
                "other exchanges": str(sum(program.count(f" {name}(") for name in OTHERS)),
            }
        )
    return rows


OTHERS = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter")


if __name__ == "__main__":
    main()
