"""One run in its own process: what must be set before JAX is imported, then `train`."""

import os
from pathlib import Path

from ablations.config import Config


def run_one(config: Config, *, quiet: bool = False) -> dict:
    """Train and leave everything in `runs_dir/study/row/seed=k`; returns the record."""
    prepare(config.threads)
    from ablations.train import train

    folder = Path(config.runs_dir) / config.study / config.row / f"seed={config.seed}"
    return train(config, folder, quiet=quiet)


def prepare(threads: int) -> None:
    """Fix the number of XLA's threads on a CPU, and let all processes share compiled programs."""
    os.environ["NPROC"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations" / "xla"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
