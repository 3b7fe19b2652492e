"""How several runs share a device: as the user asked, or as a short calibration finds fastest.

single: one run at a time. processes: each run in a process of its own; on a CPU one process for each core.
interleaved, vmap: several runs in one process, see `training.driver`.
"""

from collections.abc import Iterator
from dataclasses import replace

from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.costs import calibrate
from ablations.costs.cost import Timing
from ablations.system import machine
from ablations.terminal.bar import bar
from ablations.terminal.output import tell

RUNS_AT_A_TIME = 4  # in one process, if the user did not say how many
MOST = 16
GAIN = 1.1  # doubling the runs must bring at least this many times the speed, or the calibration tries no more


def choose(configs: list[Config], *, processes: int | None = None, measure: bool = True) -> tuple[str, int]:
    """The packing of these runs, which is never "auto", and how many of them train at a time.

    processes: the number that the command gave the launcher. measure: whether a calibration may be run.
    """
    first = configs[0]
    mode, runs = first.packing, first.runs_at_a_time
    if processes and mode in ("auto", "processes"):
        mode, runs = "processes", processes
    elif mode == "auto" and machine.usable() and len(configs) > 1:
        mode, runs = fastest(first, min(runs or MOST, len(configs)), measure=measure)
    elif mode == "auto":
        mode = "processes"  # in one process, two runs are slower on a CPU than two processes: benchmarks/NOTES.md
    if runs is None:
        runs = {"single": 1, "processes": 1 if machine.usable() else machine.cores() // first.threads}.get(
            mode, RUNS_AT_A_TIME
        )
    runs = max(1, min(runs, len(configs)))
    return ("single" if runs == 1 else mode), runs


def fastest(config: Config, most: int, *, measure: bool = True) -> tuple[str, int]:
    """The packing that trains this configuration fastest on this machine, and its runs at a time.

    A short calibration measures it, whose results are kept.
    """
    timings = {}
    with bar("calibrating", None, "ways to pack") as update:
        for packed, timing in calibration(config, most, measure=measure):
            timings[packed] = timing
            update(len(timings))
    speeds = {
        (mode, runs): runs / timing.step_seconds for (mode, runs), timing in timings.items() if timing.step_seconds
    }
    if not speeds:
        return "single", 1
    best = max(speeds, key=lambda way: speeds[way])
    if ("single", 1) in speeds:
        gain = speeds[best] / speeds["single", 1]
        tell(
            f"packing={best[0]} runs_at_a_time={best[1]}: {gain:.2f} times the images/s of one run, measured on "
            f"{timings[best].device}"
        )
    return best


def calibration(config: Config, most: int, *, measure: bool = True) -> Iterator[tuple[tuple[str, int], Timing]]:
    """The ways to pack this configuration that are worth trying, as (packing, runs), with their measured steps."""
    [figures] = calibrate.figures([config])

    def timing_of(mode, runs):
        packed = replace(config, packing=mode, runs_at_a_time=runs)
        return calibrate.timing(figures.program, packed, measure=measure)

    if (single := timing_of("single", 1)) is None:
        return
    yield ("single", 1), single
    # With vmap a restart of fewer runs gives other last bits.
    for mode in ("interleaved", *(() if config.deterministic else ("vmap",)), "processes"):
        best, runs = single.step_seconds, 2  # seconds for one step of one run
        while best and runs <= most and (timing := timing_of(mode, runs)):
            yield (mode, runs), timing
            seconds = timing.step_seconds / runs if timing.step_seconds else None
            best = seconds if seconds and best / seconds >= GAIN else None
            runs *= 2


def spread(jobs: list[Job]) -> list[Job]:
    """The jobs, each on one device, if this machine has several and the user did not choose."""
    config = jobs[0].config
    if len(jobs) == 1 or config.devices or config.distributed.name != "none" or len(machine.gpus()) < 2:
        return jobs
    return [
        replace(job, config=replace(job.config, devices=1), overrides=(*job.overrides, "devices=1")) for job in jobs
    ]


def slots(config: Config) -> int:
    """How many runs of this configuration can train here at the same time without sharing a device."""
    gpus = len(machine.gpus())
    return max(1, gpus // (config.devices or gpus or 1))


def settle(jobs: list[Job], mode: str, runs: int) -> list[Job]:
    """The jobs, with the packing that was chosen written into each."""
    settings = {"packing": mode, "runs_at_a_time": runs}
    words = tuple(f"{name}={value}" for name, value in settings.items())
    return [replace(job, config=replace(job.config, **settings), overrides=(*job.overrides, *words)) for job in jobs]


def groups(jobs: list[Job]) -> list[list[Job]]:
    """The jobs in groups that train in one process at the same time; the launcher takes each group as one job.

    With vmap the jobs of a group share one compiled program.
    """
    mode, runs = jobs[0].config.packing, jobs[0].config.runs_at_a_time
    if mode not in ("interleaved", "vmap"):
        return [[job] for job in jobs]
    assert runs is not None  # `settle` has written it
    keys = [None] * len(jobs)
    if mode == "vmap" and len({repr(replace(job.config, seed=0)) for job in jobs}) > 1:  # seeds share a program
        figures = calibrate.figures([job.config for job in jobs])
        keys = [(figure.program, repr(job.config.data)) for job, figure in zip(jobs, figures, strict=True)]
    alike = {}
    for job, key in zip(jobs, keys, strict=True):
        alike.setdefault(key, []).append(job)
    return [jobs_alike[i : i + runs] for jobs_alike in alike.values() for i in range(0, len(jobs_alike), runs)]


def longest_first(groups: list[list[Job]]) -> list[list[Job]]:
    """The groups in the order in which processes take them, so that none is left with a long run at the end.

    How long a run takes is judged by its layers and images; groups that take the same keep their order.
    """

    def work(group: list[Job]) -> int:
        configs = [job.config for job in group]
        images = [config.recipe.total_steps * config.recipe.batch_size for config in configs]
        return sum(config.model.architecture().layers * n for config, n in zip(configs, images, strict=True))

    return sorted(groups, key=work, reverse=True)
