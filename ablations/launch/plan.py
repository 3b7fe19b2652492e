"""What a study or a sweep costs and how far it is, before anything of it runs.

The jobs are those that `ablations train` would run of the same command, and what is done is what it would not
run again.
"""

from dataclasses import dataclass

from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.costs import cost
from ablations.costs.cost import Figures, Timing
from ablations.data import catalogue
from ablations.launch import launcher, packing, worker
from ablations.launch import run as launch
from ablations.runs import progress
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord
from ablations.system import lock
from ablations.training import checkpoint

STATES = ("done", "running", "interrupted", "missing", "unreadable")


@dataclass(frozen=True)
class Run:
    """One job: its state, and how many steps of it are done.

    note: of a run whose record cannot be read, why; it is not trained again.
    """

    config: Config
    state: str
    step: int
    note: str = ""

    @property
    def left(self) -> int:
        return 0 if self.state in ("done", "unreadable") else self.config.recipe.total_steps - self.step


@dataclass(frozen=True)
class Line:
    """The runs that differ in their seed only. timing: None where not asked for."""

    runs: tuple[Run, ...]
    figures: Figures
    timing: Timing | None

    @property
    def config(self) -> Config:
        return self.runs[0].config

    @property
    def flop(self) -> int:
        """Of one whole run."""
        return cost.flop(self.config, self.figures, self.config.recipe.total_steps)

    @property
    def seconds(self) -> float | None:
        """Of one whole run, its program compiled before."""
        return cost.seconds(self.config, self.timing, 0) if self.timing else None


@dataclass(frozen=True)
class Plan:
    """at_a_time: how many runs the launcher starts side by side here."""

    lines: tuple[Line, ...]
    at_a_time: int

    @property
    def runs(self) -> list[Run]:
        return [run for line in self.lines for run in line.runs]

    @property
    def programs(self) -> list[tuple]:
        """Of each line the name of its program: equal ones are compiled once."""
        return [(line.figures.program, catalogue.sizes(line.config.data), line.config.threads) for line in self.lines]

    @property
    def program_count(self) -> int:
        """Distinct compiled training programs: one for each number of steps that a call makes."""
        calls = dict(zip(self.programs, (line.figures.calls for line in self.lines), strict=True))
        return sum(map(len, calls.values()))

    @property
    def flop_left(self) -> int:
        return sum(cost.flop(run.config, line.figures, run.left) for line in self.lines for run in line.runs)

    @property
    def seconds_left(self) -> float | None:
        """Until all is done with this command on this machine; None where a part of it was not measured."""
        compiled, runs = set(), []
        for line, program in zip(self.lines, self.programs, strict=True):
            for run in line.runs:
                if run.left:
                    if line.timing is None or line.seconds is None:
                        return None
                    runs.append(cost.seconds(run.config, line.timing, run.step))
                    if program not in compiled:
                        runs[-1] += cost.compile_seconds(line.figures, line.timing)
                        compiled.add(program)
        return cost.elapsed(runs, self.at_a_time)

    @property
    def disk_bytes(self) -> int:
        """The weights of the runs to go, and the checkpoints of those that are on their way at the same time."""
        left = [line.figures for line in self.lines for run in line.runs if run.left]
        largest = sorted((figures.state_bytes for figures in left), reverse=True)[: self.at_a_time]
        # While one more is being written, those that are kept are all there.
        return sum(figures.weights_bytes for figures in left) + (checkpoint.KEPT + 1) * sum(largest)


def make(context, jobs: list[Job], overrides: list[str], *, calibrate: bool) -> Plan:
    """Look at every job's folder, and measure what is not known yet.

    Raises UserError where `ablations train` would, before it trains.
    """
    runs = [look(job) for job in jobs]
    for job in jobs:
        train, _ = catalogue.sizes(job.config.data)
        catalogue.check_fits(
            job.config.data, job.config.recipe.batch_size, train, catalogue.kind(job.config.data).image[0]
        )
    rows = {}
    for run in runs:
        rows.setdefault(run.config.row, []).append(run)
    from ablations.costs import calibrate as calibration

    configs = [of[0].config for of in rows.values()]
    figures = calibration.figures(configs)
    timings = {}
    if calibrate:
        programs = {of.program: config for config, of in zip(configs, figures, strict=True)}
        timings = calibration.timings(programs)
    lines = [Line(tuple(of), its, timings.get(its.program)) for of, its in zip(rows.values(), figures, strict=True)]
    waiting = [job for job, run in zip(jobs, runs, strict=True) if run.left]
    at_a_time = 1
    if waiting:
        waiting = packing.spread(waiting)
        # Packed runs are reckoned as if one ran after the other: how much faster they are is not in the plan.
        _, (how, runs) = launcher.chosen_launcher(context, waiting, overrides, measure=False)
        at_a_time = packing.places(waiting[0].config) * (runs if how == "processes" else 1)
    return Plan(tuple(lines), at_a_time)


def look(job: Job) -> Run:
    """How far a job is, from what its folder holds."""
    config, folder = job.config, RunFolder.of(job.config)
    try:
        if record := launch.record_of(job):
            return Run(config, "done", record["steps"])
    except UnreadableRecord as error:
        return Run(config, "unreadable", 0, str(worker.not_replaced(error)))
    kept = checkpoint.newest(folder.path, config)
    if lock.holder(folder.path):
        now = progress.read(folder)
        return Run(config, "running", now["step"] if now else kept)
    return Run(config, "interrupted" if kept else "missing", kept)
