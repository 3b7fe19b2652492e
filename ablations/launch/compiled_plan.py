"""What a study would take on devices that are not here: its programs, compiled for them, and what follows from these.

The jobs are those of `ablations train` with the same settings on such devices; nothing is run.
"""

from dataclasses import dataclass, replace

from ablations.compilers import program
from ablations.compilers.program import Bound, Program
from ablations.compilers.target import Target
from ablations.config.jobs import Job
from ablations.config.recipe import refusal
from ablations.config.run import Config
from ablations.costs import cost
from ablations.errors import UserError
from ablations.launch import plan


@dataclass(frozen=True)
class CompiledLine(plan.Line):
    """The runs that differ only in their seed, on a target.

    program: compiled for it; what its compiler said, if it refused it.
    """

    program: Program | str
    target: Target

    @property
    def devices(self) -> int:
        return self.target.spread(self.config.devices)

    @property
    def bound(self) -> Bound | None:
        """The least seconds of a step; None without a program."""
        if isinstance(self.program, str):
            return None
        return program.bound(self.program, self.target, self.flop_a_step / self.devices, self.config.precision)

    @property
    def flop_a_step(self) -> int:
        return cost.flop(self.config, self.figures, 1)

    @property
    def share_of_memory(self) -> float | None:
        """How much of a device's memory a call needs, 1 for all of it."""
        return None if isinstance(self.program, str) else self.program.needed_bytes / self.target.memory_bytes


@dataclass(frozen=True)
class CompiledPlan(plan.Plan):
    lines: tuple[CompiledLine, ...]
    target: Target

    @property
    def seconds(self) -> float | None:
        """The least seconds of all training steps that are left, one run after the other; None if any is not known."""
        total = 0.0
        for line in self.lines:
            steps = sum(run.steps_left for run in line.runs)
            if steps and not line.bound:
                return None
            total += steps * line.bound.seconds if line.bound else 0
        return total


def make(jobs: list[Job], target: Target) -> CompiledPlan:
    """Make the plan: look at every job's folder, and compile what is not known yet.

    Raises UserError for what `ablations train` would refuse on such devices, and if the compiler is missing.
    """
    rows = plan.in_rows(plan.look_at_all(jobs))
    configs = [row[0].config for row in rows]
    figures, programs = compiled(configs, target)
    lines = [
        CompiledLine(row, figure, None, made, target) for row, figure, made in zip(rows, figures, programs, strict=True)
    ]
    return CompiledPlan(tuple(lines), 1, target)


def checked(config: Config, target: Target) -> Config:
    """The configuration with the number of devices it is spread over. Raises UserError for what cannot be done."""
    count = target.spread(config.devices)
    if why := refusal(config.recipe.batch_size, count):
        raise UserError(why)
    return replace(config, devices=count)


def compiled(configs: list[Config], target: Target) -> tuple[list[cost.Figures], list[Program | str]]:
    """The figures and the program of each configuration."""
    from ablations.costs import compiled as compilation

    lines = prepared(configs, target)
    return [figures for _, figures in lines], compilation.programs(lines, target)


def prepared(configs: list[Config], target: Target) -> list[tuple[Config, cost.Figures]]:
    """Each configuration as it is compiled, with its figures. Raises UserError as `checked`, and without a compiler."""
    target.check_compiler()
    configs = [checked(config, target) for config in configs]
    from ablations.costs import calibrate

    return list(zip(configs, calibrate.figures(configs, target), strict=True))
