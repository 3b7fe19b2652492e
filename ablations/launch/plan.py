"""What a study or a sweep will cost, and how much of it is done, before anything is trained.

The jobs are those of `ablations train` with the same settings; done is what that command would not train again.
"""

from dataclasses import dataclass

from ablations.config.jobs import Job
from ablations.config.run import Config
from ablations.costs import cost
from ablations.costs.cost import Figures, Timing
from ablations.data import catalogue
from ablations.launch import done, launcher, packing
from ablations.runs import progress
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord
from ablations.system import lock
from ablations.training import checkpoint

STATES = ("done", "running", "interrupted", "missing", "unreadable")


@dataclass(frozen=True)
class Run:
    """One job: its state, and how many of its steps are done.

    note: why its record cannot be read, if that is so; such a run is not trained again.
    """

    config: Config
    state: str
    step: int
    note: str = ""

    @property
    def steps_left(self) -> int:
        return 0 if self.state in ("done", "unreadable") else self.config.recipe.total_steps - self.step


@dataclass(frozen=True)
class Line:
    """The runs that differ only in their seed. timing: None if it was not asked for."""

    runs: tuple[Run, ...]
    figures: Figures
    timing: Timing | None

    @property
    def config(self) -> Config:
        return self.runs[0].config

    @property
    def flop(self) -> int:
        """The FLOP of one whole run."""
        return cost.flop(self.config, self.figures, self.config.recipe.total_steps)

    @property
    def seconds(self) -> float | None:
        """The seconds of one whole run, without compilation; None without a timing."""
        return cost.seconds(self.config, self.timing, 0) if self.timing else None


@dataclass(frozen=True)
class Plan:
    """The lines of a plan. at_a_time: how many runs the launcher trains side by side here."""

    lines: tuple[Line, ...]
    at_a_time: int

    @property
    def runs(self) -> list[Run]:
        return [run for line in self.lines for run in line.runs]

    @property
    def programs(self) -> list[tuple]:
        """The name of each line's program; equal names are compiled once."""
        return [(line.figures.program, catalogue.sizes(line.config.data), line.config.threads) for line in self.lines]

    @property
    def program_count(self) -> int:
        """The number of distinct compiled training programs."""
        return len(set(self.programs))

    @property
    def flop_left(self) -> int:
        return sum(cost.flop(run.config, line.figures, run.steps_left) for line in self.lines for run in line.runs)

    @property
    def seconds_left(self) -> float | None:
        """The seconds until this command has done everything on this machine; None if any part was not measured."""
        compiled, runs = set(), []
        for line, program in zip(self.lines, self.programs, strict=True):
            for run in line.runs:
                if run.steps_left:
                    if line.timing is None or line.seconds is None:
                        return None
                    runs.append(cost.seconds(run.config, line.timing, run.step))
                    if program not in compiled:
                        runs[-1] += cost.compile_seconds(line.timing)
                        compiled.add(program)
        return cost.elapsed(sorted(runs, reverse=True), self.at_a_time)

    @property
    def disk_bytes(self) -> int:
        """The weights of all runs still to train, and the checkpoints of those that train at the same time."""
        left = [line.figures for line in self.lines for run in line.runs if run.steps_left]
        largest = sorted((figures.state_bytes for figures in left), reverse=True)[: self.at_a_time]
        # The checkpoints that are kept are still there while the next one is written.
        return sum(figures.weights_bytes for figures in left) + (checkpoint.KEPT + 1) * sum(largest)


def make(context, jobs: list[Job], overrides: list[str], *, calibrate: bool) -> Plan:
    """Make the plan: look at every job's folder, and measure what is not known yet.

    Raises UserError for what `ablations train` would refuse before it trains.
    """
    runs = look_at_all(jobs)
    rows = in_rows(runs)
    from ablations.costs import calibrate as calibration

    configs = [row[0].config for row in rows]
    figures = calibration.figures(configs)
    timings = {}
    if calibrate:
        programs = {figure.program: config for config, figure in zip(configs, figures, strict=True)}
        timings = calibration.timings(programs)
    lines = [Line(row, figure, timings.get(figure.program)) for row, figure in zip(rows, figures, strict=True)]
    waiting = [job for job, run in zip(jobs, runs, strict=True) if run.steps_left]
    at_a_time = 1
    if waiting:
        waiting = packing.spread(waiting)
        # Runs packed into one process count as one after the other: the plan does not know how much faster they are.
        _, (mode, together) = launcher.chosen_launcher(context, waiting, overrides, measure=False)
        at_a_time = packing.slots(waiting[0].config) * (together if mode == "processes" else 1)
    return Plan(tuple(lines), at_a_time)


def look_at_all(jobs: list[Job]) -> list[Run]:
    """How far each job is. Raises UserError for one that `ablations train` would refuse before it trains."""
    runs = [look(job) for job in jobs]
    for job in jobs:
        train, _ = catalogue.sizes(job.config.data)
        catalogue.check_fits(
            job.config.data, job.config.recipe.batch_size, train, catalogue.kind(job.config.data).image[0]
        )
    return runs


def in_rows(runs: list[Run]) -> list[tuple[Run, ...]]:
    """The runs of each row, which differ only in their seed."""
    rows: dict[tuple[str, int | None], list[Run]] = {}  # a number of devices is not part of a row's name
    for run in runs:
        rows.setdefault((run.config.row, run.config.devices), []).append(run)
    return [tuple(row) for row in rows.values()]


def look(job: Job) -> Run:
    """How far a job is, judged by its folder."""
    config, folder = job.config, RunFolder.of(job.config)
    try:
        if record := done.record_of(config):
            return Run(config, "done", record["steps"])
    except UnreadableRecord as error:
        return Run(config, "unreadable", 0, str(done.not_replaced(error)))
    kept = checkpoint.newest(folder.path, config)
    if lock.holder(folder.path):
        now = progress.read(folder)
        return Run(config, "running", now["step"] if now else kept)
    return Run(config, "interrupted" if kept else "missing", kept)
