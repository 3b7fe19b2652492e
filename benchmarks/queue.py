"""What a run costs besides training: `python -m benchmarks.queue --runs 1000`.

Times a study whose runs only write a record, from the command to the last record: planning, checks, locks, dispatch,
records. Checks that every run was made exactly once.
"""

import argparse
import contextlib
import os
import tempfile
import time
from importlib import metadata
from pathlib import Path

from ablations.config import compose
from ablations.config import jobs as sweep
from ablations.launch import entry, launcher, run, worker
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import commit
from ablations.runs.record import FIELDS, write_record
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.terminal.units import short

SEEDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--launcher", default="joblib", help="joblib or ray")
    parser.add_argument("--values", action="store_true", help="sweep over values of one setting instead of a study")
    settings = parser.parse_args()
    launcher.task = record_only
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        began = time.perf_counter()
        with compose.hydra() as context:
            line = [*(values if settings.values else study)(settings.runs), f"hydra/launcher={settings.launcher}"]
            jobs = sweep.plan(context, line)
            planned = time.perf_counter()
            code = run.run(context, jobs, line)
        ended = time.perf_counter()
        written = sorted(Path("written").read_text().split("\n")[:-1])
        whole = [job for job in jobs if RunFolder.of(job.config).record()["config"] == job.config.resolved()]
    assert code == 0 and len(whole) == settings.runs
    assert written == sorted(str(RunFolder.of(job.config)) for job in jobs)
    row = {"runs": f"{settings.runs:,}", "launcher": settings.launcher, "as": line[0][:20]}
    row |= {"planning": short(planned - began), "the rest": short(ended - planned)}
    row["a run"] = short((ended - began) / settings.runs)
    title = f"Overhead ({processor()}, commit {commit()[:12]}, hydra-core {metadata.version('hydra-core')})"
    print(grid.markdown(title, [row], ["Every run has its record, and none was made twice."]), end="")


def study(runs: int) -> list[str]:
    """A study of rows that differ in a number, with ten seeds each."""
    rows = [
        f"  - {{row: bias_{i}, overrides: [shortcut=exclusive_gating, shortcut.bias=-{i}]}}"
        for i in range(runs // SEEDS)
    ]
    Path("tiny.yaml").write_text("\n".join([f"question: how fast?\nseeds: {SEEDS}\nrows:", *rows]) + "\n")
    return ["study=tiny.yaml"]


def values(runs: int) -> list[str]:
    return ["shortcut.bias=" + ",".join(f"-{i}" for i in range(runs)), "shortcut=exclusive_gating"]


def record_only(with_first, shown, composed):
    """A replacement for `launcher.task` whose runs take no time."""
    from ablations.config.compose import parse

    worker._train = _write_records
    return entry.run(entry.sharing(with_first, parse(composed)), quiet=shown)


def _write_records(configs, _quiet):
    records = []
    for config in configs:
        folder = RunFolder.of(config)
        with open("written", "a") as log:  # a short line is written whole
            log.write(f"{folder}\n")
        records.append({"status": "done", "test_error_percent": 0.0, "steps": 1, "wall_seconds": 0.0})
        write_record(
            folder.path,
            {name: kind() for name, kind in FIELDS.items()}
            | records[-1]
            | {"config": config.resolved(), "process": os.getpid()},
        )
    return records


if __name__ == "__main__":
    main()
