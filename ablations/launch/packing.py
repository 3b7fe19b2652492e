"""How several runs share a device: what was asked for, or what a short calibration finds to be fastest.

single: one run at a time. processes: each in a process of its own; on a CPU one a core. interleaved, vmap: in one
process, see `pack`.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace

from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.costs import calibrate
from ablations.costs.cost import Timing
from ablations.system import machine
from ablations.terminal.bar import bar

RUNS_AT_A_TIME = 4  # in one process, where nobody said how many

MOST = 16

GAIN = 1.1  # twice as many runs must bring so much more, or the calibration looks no further


def choose(configs: list[Config], *, processes: int | None = None, measure: bool = True) -> tuple[str, int]:
    """How runs are packed and how many at a time, never "auto".

    processes: of the launcher, where the command says so. measure: whether a calibration may be run.
    """
    first = configs[0]
    how, runs = first.packing, first.runs_at_a_time
    if processes and how in ("auto", "processes"):
        how, runs = "processes", processes
    elif how == "auto" and machine.usable() and len(configs) > 1:
        how, runs = fastest(first, min(runs or MOST, len(configs)), measure=measure)
    elif how == "auto":
        how = "processes"  # in one process, two runs are slower on a CPU than two processes: benchmarks/NOTES.md
    if runs is None:
        runs = {"single": 1, "processes": 1 if machine.usable() else machine.cores() // first.threads}.get(
            how, RUNS_AT_A_TIME
        )
    runs = max(1, min(runs, len(configs)))
    return ("single" if runs == 1 else how), runs


def fastest(config: Config, most: int, *, measure: bool = True) -> tuple[str, int]:
    """What trained most images a second here of this configuration, in a short calibration that is kept."""
    found = {}
    with bar("calibrating", None, "ways to pack") as update:
        for way, timing in calibration(config, most, measure=measure):
            found[way] = timing
            update(len(found))
    speeds = {(how, runs): runs / timing.step_seconds for (how, runs), timing in found.items() if timing.step_seconds}
    if not speeds:
        return "single", 1
    best = max(speeds, key=lambda way: speeds[way])
    if ("single", 1) in speeds:
        gain = speeds[best] / speeds["single", 1]
        print(
            f"packing={best[0]} runs_at_a_time={best[1]}: {gain:.2f} times the images/s of one run, measured on "
            f"{found[best].device}",
            file=sys.stderr,
        )
    return best


def calibration(config: Config, most: int, *, measure: bool = True) -> Iterator[tuple[tuple[str, int], Timing]]:
    """Every way to pack this configuration that is worth a look, (how, runs), with its measured steps."""
    [figures] = calibrate.figures([config])

    def measured(how, runs):
        packed = replace(config, packing=how, runs_at_a_time=runs)
        return calibrate.timing(figures.program, packed, measure=measure)

    if (alone := measured("single", 1)) is None:
        return
    yield ("single", 1), alone
    for how in ("interleaved", "vmap", "processes"):
        before, runs = alone.step_seconds, 2
        while before and runs <= most and (timing := measured(how, runs)):
            yield (how, runs), timing
            each = timing.step_seconds / runs if timing.step_seconds else None
            before = each if each and before / each >= GAIN else None
            runs *= 2


def spread(jobs: list[Job]) -> list[Job]:
    """The jobs, each with one device of its own where the machine has several and nothing else was asked for."""
    config = jobs[0].config
    if len(jobs) == 1 or config.devices or config.distributed.name != "none" or len(machine.gpus()) < 2:
        return jobs
    return [
        replace(job, config=replace(job.config, devices=1), overrides=(*job.overrides, "devices=1")) for job in jobs
    ]


def places(config: Config) -> int:
    """How many runs of this configuration can have devices of their own here, at the same time."""
    there = len(machine.gpus())
    return max(1, there // (config.devices or there or 1))


def settle(jobs: list[Job], how: str, runs: int) -> list[Job]:
    """The jobs, with what was chosen written into each."""
    chosen = {"packing": how, "runs_at_a_time": runs}
    line = tuple(f"{name}={value}" for name, value in chosen.items())
    return [replace(job, config=replace(job.config, **chosen), overrides=(*job.overrides, *line)) for job in jobs]


def groups(jobs: list[Job]) -> list[list[Job]]:
    """The jobs that go to the launcher as one: those that run in one process at the same time.

    With vmap these have one compiled program in common.
    """
    how, runs = jobs[0].config.packing, jobs[0].config.runs_at_a_time
    if how not in ("interleaved", "vmap"):
        return [[job] for job in jobs]
    assert runs is not None  # `settle` has written it
    keys = [None] * len(jobs)
    if how == "vmap":
        figures = calibrate.figures([job.config for job in jobs])
        keys = [(of.program, repr(job.config.data)) for job, of in zip(jobs, figures, strict=True)]
    alike = {}
    for job, key in zip(jobs, keys, strict=True):
        alike.setdefault(key, []).append(job)
    return [of[i : i + runs] for of in alike.values() for i in range(0, len(of), runs)]
