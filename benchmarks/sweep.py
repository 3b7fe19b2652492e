"""Several rows on one processor, ours and PyTorch: `python -m benchmarks.sweep`.

Ours uses as many processes as there are cores, with one thread each, as `ablations train` runs a sweep, and a
compilation cache that starts empty. PyTorch uses one process that has all cores and trains the rows one after the
other, eagerly, in its default layout. Both are timed from the start of Python to the last step of the last row, in
turn, round after round. Half of the rows have the original order, half full pre-activation.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from ablations.runs.provenance import commit, versions
from ablations.system import machine, malloc
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.terminal.units import short
from benchmarks import worker
from benchmarks.cases import Case

ORDERS = ("original", "full_preactivation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet110")
    parser.add_argument("--data", choices=("digits", "cifar10"), default="digits", help="the size of the images")
    parser.add_argument("--batch", type=int, default=32, help="that of the recipe of the digits")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300, help="steps of each row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=machine.cores(), help="cores for each side")
    parser.add_argument("--side", choices=("ours", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, nargs="*", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.side:
        train(settings)
        return
    times = {"ours": [], "torch": []}
    for _ in range(settings.rounds):
        for side in times:
            times[side].append(seconds(side, settings))
            print(f"{side}: {short(times[side][-1])}", file=sys.stderr, flush=True)
    ratios = [torch / ours for ours, torch in zip(times["ours"], times["torch"], strict=True)]
    row = {"network": f"{settings.model}, {settings.data}, batch {settings.batch}"}
    row |= {"rows": f"{settings.rows} of {settings.steps} steps"}
    row |= {name: short(statistics.median(times[side])) for side, name in (("torch", "PyTorch"), ("ours", "ours"))}
    row["PyTorch's time / ours"] = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} ... {max(ratios):.2f})"
    title = f"A sweep on {settings.threads} cores ({processor()}, jax {versions()['jax']}, commit {commit()[:12]})"
    print(
        grid.markdown(
            title, [row], [f"Medians of {settings.rounds} rounds, with the smallest and the largest in brackets."]
        ),
        end="",
    )


def seconds(side: str, settings) -> float:
    """The time from the start of a side's processes to the end of the last. Raises CalledProcessError if one fails."""
    count = settings.threads if side == "ours" else 1
    command = [sys.executable, "-m", "benchmarks.sweep", "--side", side, "--model", settings.model]
    command += ["--data", settings.data, "--batch", str(settings.batch), "--steps", str(settings.steps)]
    command += ["--threads", str(settings.threads // count), "--only"]
    with tempfile.TemporaryDirectory() as cache:
        environment = malloc.HUGE_PAGES | os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        began = time.perf_counter()
        running = [
            subprocess.Popen([*command, *map(str, range(i, settings.rows, count))], env=environment)
            for i in range(count)
        ]
        try:
            for process in running:
                if process.wait():
                    raise subprocess.CalledProcessError(process.returncode, process.args)
            return time.perf_counter() - began
        finally:  # if one fails, the others would continue and slow down what comes next
            for process in running:
                process.kill()
                process.wait()


def train(settings) -> None:
    """Train the rows of one process."""
    for i in settings.only:
        case = Case(settings.model, ORDERS[i % 2], settings.data, settings.batch, "f32")
        if settings.side == "ours":
            run, _, _ = worker.prepare_ours(case, settings.threads, "cpu")
        else:
            run, _, _ = worker.prepare_torch(case, settings.threads, "cpu", "eager", "default")
        run(settings.steps)


if __name__ == "__main__":
    main()
