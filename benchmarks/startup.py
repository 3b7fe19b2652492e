"""The seconds that a person waits for commands: `python -m benchmarks.startup`.

The commands are `ablations --help`, a table, and a tiny run from the command to its record, with a warm compilation
cache. Each is run several times, in a new process and an empty folder each time.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ablations.runs.provenance import commit, versions
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.terminal.units import short

COMMANDS = {
    "ablations --help": ["--help"],
    "ablations table study=table1 runs_dir=.": ["table", "study=table1", "runs_dir=."],
    "ablations train model=resnet20 recipe.total_steps=20": [
        "train", "model=resnet20", "recipe.total_steps=20", "recipe.evaluate_every=10",
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    rows = []
    for name, arguments in COMMANDS.items():
        measured = [seconds(arguments) for _ in range(times + 1)][1:]  # the first run fills the caches
        row = {"command": name, "median": short(statistics.median(measured))}
        rows.append(row | {"least": short(min(measured)), "most": short(max(measured)), "times": str(times)})
    title = f"Start-up ({processor()}, jax {versions()['jax']}, commit {commit()[:12]})"
    print(grid.markdown(title, rows, []), end="")


def seconds(arguments: list[str]) -> float:
    """The time of one command in a folder of its own. Raises CalledProcessError if it fails."""
    command = [Path(sys.executable).with_name("ablations"), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
