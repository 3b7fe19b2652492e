"""Runs of the study `depth` that were never trained: real files with known errors."""

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

from ablations.config import compose, jobs
from ablations.config.run import Config
from ablations.runs.record import write_record

DEPTHS = (20, 32, 44, 56, 110, 164)
LEARNS, FAILS = 5.0, 90.0

# Of three seeds how many fail at each depth.
EXAMPLE = {
    "identity": (0, 0, 0, 0, 0, 0),
    "plain": (0, 0, 1, 3, 3, 3),
    "constant_scaling_0.5_1": (0, 3, 3, 3, 3, 3),
    "constant_scaling_0.5_0.5": (0, 0, 0, 3, 3, 3),
    "exclusive_gating_-6": (0, 0, 0, 0, 1, 3),
    "shortcut_only_gating_-6": (0, 0, 0, 0, 0, 0),
    "conv1x1": (0, 0, 0, 0, 3, 3),
    "dropout": (3, 3, 3, 3, 3, 3),
}


@cache
def configs() -> dict[str, Config]:
    """The configuration of each row: of 20 layers as it is composed, of the others that with another depth."""
    rows = ",".join(f"{choice}_20" for choice in EXAMPLE)
    with compose.hydra() as context:
        made = [job.config for job in jobs.plan(context, ["study=depth", "seeds=1", f"row={rows}"])]
    return {
        f"{choice}_{depth}": replace(config, model=replace(config.model, name=f"resnet{min(depth, 110)}", depth=depth))
        for choice, config in zip(EXAMPLE, made, strict=True)
        for depth in DEPTHS
    }


def write(runs_dir: Path, fails: dict[str, tuple[int | None, ...]], seeds: int = 3) -> Path:
    """Write records; fails: of so many seeds how many fail at each depth, None for no run. The last to fail diverges."""
    for choice, counts in fails.items():
        for depth, count in zip(DEPTHS, counts, strict=False):
            for seed in range(seeds) if count is not None else ():
                one(runs_dir, f"{choice}_{depth}", seed, FAILS if seed < count else LEARNS, diverged=seed == 2 < count)
    return runs_dir


def one(runs_dir: Path, row: str, seed: int, error: float, diverged: bool = False) -> Path:
    config = configs()[row]
    folder = runs_dir / "depth" / row / f"seed={seed}"
    folder.mkdir(parents=True)
    record = {
        "study": "depth", "row": row, "seed": seed, "status": "diverged" if diverged else "done",
        "test_error_percent": math.nan if diverged else error, "train_loss": 0.1, "steps": 440, "train_images": 1437,
        "test_images": 360, "wall_seconds": 1.0, "config": config.resolved() | {"seed": seed}, "device": "cpu: test",
        "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip
    write_record(folder, record)
    line = {"step": 440, "train_loss": 0.1, "test_loss": 0.1, "test_error_percent": error}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder
