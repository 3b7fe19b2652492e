"""Our training compared with PyTorch's: `python -m benchmarks.compare --device cpu --minutes 9`.

Each side of a case is a process of its own. When all are ready they run in turn, round after round, reversing the order
each time; each ratio is taken within a round, so that what slows the machine for a while slows both sides. Ends with
one table; cases that did not fit into the time are named as not run.
"""

import argparse
import functools
import json
import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from ablations.runs.provenance import commit, versions
from ablations.system import malloc
from ablations.system.machine import processor
from ablations.terminal import grid
from benchmarks.cases import CPU, CUDA, SHALLOW, VARIANTS, Case

DEFAULTS = {
    "cpu": {"rounds": 7, "seconds": 1.0, "ready": 120.0, "at_once": 1, "compile": "shallow"},
    "cuda": {"rounds": 5, "seconds": 0.5, "ready": 220.0, "at_once": 6, "compile": "all"},
}


class NotRun(Exception):
    """A side could not be measured; the message is the reason."""


class Side:
    """A process that runs steps on request. variant: None for ours, else PyTorch's mode and layout."""

    def __init__(self, case: Case, variant: tuple[str, str] | None, threads: int, device: str):
        self.name = " ".join(variant) if variant else "ours"
        if variant and variant[0] == "compile" and case.layers > SHALLOW[device]:
            self.name = f"compile units {variant[1]}"
        asked = {"side": "torch" if variant else "ours", "case": asdict(case), "threads": threads, "device": device}
        asked |= dict(zip(("how", "layout"), variant or (), strict=False))
        self.errors = tempfile.TemporaryFile("w+")
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors, "text": True}
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps(asked)]
        # Our side runs as under `ablations train`.
        own = {"OMP_NUM_THREADS": str(threads)} | ({} if variant else malloc.HUGE_PAGES)
        self.process = subprocess.Popen(command, env=os.environ | own, **streams)
        self.steps = 0

    def prepare(self, seconds: float, until: float) -> None:
        """Wait until the process is ready, and choose a number of steps that takes about this many seconds."""
        unit = self._answer(until)["unit"]
        self.steps = unit
        self.steps = unit * max(1, round(seconds / (unit * self.step_seconds(until))))

    def step_seconds(self, until: float) -> float:
        print(self.steps, file=self.process.stdin, flush=True)
        return self._answer(until) / self.steps

    def _answer(self, until: float):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(max(until - time.monotonic(), 0)):
                raise NotRun("no time")
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        raise NotRun(lines[-1][:100] if lines else f"exit code {self.process.wait()}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            stream.close()


def compare(cases: list[Case], settings, until: float) -> list[dict]:
    """Measure cases, all of whose sides are prepared at the same time: one result for each case and variant."""
    variants = {
        case: [variant for variant in VARIANTS if settings.compile == "all" or _is_cheap(case, variant)]
        for case in cases
    }
    sides = {
        case: [Side(case, variant, settings.threads, settings.device) for variant in (None, *case_variants)]
        for case, case_variants in variants.items()
    }
    ready_by = min(time.monotonic() + settings.ready, until)
    results = []
    try:
        reasons = {}
        for side in [side for case_sides in sides.values() for side in case_sides]:
            try:
                side.prepare(settings.seconds, ready_by)
            except (NotRun, BrokenPipeError) as error:
                reasons[side] = f"not ready: {error}"
                side.process.kill()
        for case, (ours, *others) in sides.items():
            our_seconds, torch_seconds = [], {side: [] for side in others if side not in reasons}
            for turn in range(settings.rounds if ours not in reasons else 0):
                order = [ours, *(side for side in torch_seconds if side not in reasons)][:: -1 if turn % 2 else 1]
                measured = {}
                for side in order:
                    try:
                        measured[side] = side.step_seconds(until)
                    except (NotRun, BrokenPipeError) as error:
                        reasons[side] = f"not run: {error}"
                if ours in reasons:
                    break
                our_seconds.append(measured.pop(ours))
                for side, seconds in measured.items():
                    torch_seconds[side].append(seconds)
            for side in others:
                reason = reasons.get(ours) or reasons.get(side, "")
                side_seconds = torch_seconds.get(side, [])  # fewer rounds than ours if it has died
                results.append(result(case, side.name, our_seconds[: len(side_seconds) or None], side_seconds, reason))
                print(*cells(results[-1:])[0].values(), sep="  ", file=sys.stderr, flush=True)
            left_out = [variant for variant in VARIANTS if variant not in variants[case]]
            results += [result(case, " ".join(variant), [], [], "not run: --compile all") for variant in left_out]
    finally:
        for side in [side for case_sides in sides.values() for side in case_sides]:
            side.stop()
    return results


def _is_cheap(case: Case, variant: tuple[str, str]) -> bool:
    return variant[0] == "eager" or case.layers <= SHALLOW["cpu"]


def result(case: Case, variant: str, ours: list[float], theirs: list[float], reason: str = "") -> dict:
    """ours, theirs: seconds of a step in each round. The ratio is that of images a second, ours / PyTorch's."""
    measured = {"case": case.name, "torch": variant, "reason": reason, "ours_seconds": ours, "torch_seconds": theirs}
    ratios = [their / our for our, their in zip(ours, theirs, strict=bool(theirs))] if theirs else []
    if ratios:
        measured |= {
            "ours_images_per_second": case.batch / statistics.median(ours),
            "torch_images_per_second": case.batch / statistics.median(theirs),
        }
    return measured | {"ratios": ratios}


def cells(results: list[dict]) -> list[dict[str, str]]:
    rows = []
    for measured in results:
        row = {"network": measured["case"], "PyTorch": measured["torch"]}
        if measured["ratios"]:
            row |= {
                "ours, images/s": f"{measured['ours_images_per_second']:,.0f}",
                "PyTorch, images/s": f"{measured['torch_images_per_second']:,.0f}",
                "ours / PyTorch": f"{statistics.median(measured['ratios']):.2f}",
                "spread": f"{min(measured['ratios']):.2f} ... {max(measured['ratios']):.2f}",
                "rounds": str(len(measured["ratios"])),
            }
        else:
            reason = measured["reason"] or "not run: no time"
            row |= {
                "ours, images/s": "-",
                "PyTorch, images/s": "-",
                "ours / PyTorch": reason,
                "spread": "",
                "rounds": "0",
            }
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, default=9, help="total time; the command ends before")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side, on a CPU")
    parser.add_argument("--rounds", type=int, help="default: 7 on a CPU, else 5")
    parser.add_argument("--seconds", type=float, help="time of each side in a round; default: 1 on a CPU, else 0.5")
    parser.add_argument("--ready", type=float, help="seconds to start and compile; default: 120 on a CPU, else 220")
    parser.add_argument(
        "--at-once", type=int, help="number of cases prepared at the same time; default: 1 on a CPU, else 6"
    )
    parser.add_argument(
        "--compile", choices=("shallow", "all"), help="what torch.compile compiles; default: shallow on a CPU, else all"
    )
    parser.add_argument("--only", default="", help="only cases whose names contain this")
    parser.add_argument("--out", type=Path, help="write every round to this JSON file, after each case")
    settings = parser.parse_args()
    until = time.monotonic() + 60 * settings.minutes - 10
    defaults = DEFAULTS[settings.device]
    for name, value in vars(settings).items():
        if value is None:
            setattr(settings, name, defaults.get(name))
    waiting = [case for case in (CUDA if settings.device == "cuda" else CPU) if settings.only in case.name]
    results, cpu = [], f"{processor()}, {settings.threads} threads each"
    while waiting:
        batch, waiting = waiting[: settings.at_once], waiting[settings.at_once :]
        if time.monotonic() < until - 30:
            results += compare(batch, settings, until)
        else:
            results += [result(case, " ".join(variant), [], []) for case in batch for variant in VARIANTS]
        if settings.out:
            about = {
                "device": device(settings.device) or cpu,
                "commit": commit(),
                "versions": versions() | torch_version(),
            }
            settings.out.write_text(json.dumps(about | {"results": results}, indent=2) + "\n")
    title = f"Training, images a second, ours and PyTorch: {device(settings.device) or cpu}"
    title += f"; jax {versions()['jax']}, torch {torch_version()['torch']}, commit {commit()[:12]}"
    notes = [
        "The ratio is the median over the rounds of ours / PyTorch; above 1, ours is faster. Spread: least and most."
    ]
    if settings.out:
        settings.out.with_suffix(".md").write_text(grid.markdown(title, cells(results), notes))
    right = ("ours, images/s", "PyTorch, images/s", "ours / PyTorch", "rounds")
    grid.show(title, cells(results), right, notes)


@functools.cache
def device(kind: str) -> str | None:
    """The name of the accelerator, asked for in another process so that this one takes none of its memory."""
    if kind == "cpu":
        return None
    code = "import torch; print(torch.cuda.get_device_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def torch_version() -> dict[str, str]:
    from importlib import metadata

    return {"torch": metadata.version("torch")}


if __name__ == "__main__":
    main()
