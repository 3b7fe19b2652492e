"""`ablations plan`: what a study or a sweep will cost, and how much of it is done."""

from types import ModuleType
from typing import TYPE_CHECKING

from ablations.cli.arguments import TARGET, check_choice, chosen_target, split, yes_or_no
from ablations.errors import UserError
from ablations.terminal import grid
from ablations.terminal.output import give_out

if TYPE_CHECKING:
    from ablations.launch.plan import Plan

OWN = {"calibrate": "true", "format": "terminal", "out": ""} | TARGET

HELP = """\
ablations plan [key=value ...]

Says what `ablations train` with the same settings will cost on this machine,
and how much of it is done. It trains nothing, and does not need the data set.
With platform=..., it says instead what GPUs or TPUs would take that need not be
here, from what XLA compiles for them.

    ablations plan study=table1 data=cifar10 recipe=paper
    ablations plan model=resnet164 seed=0,1,2 runs_at_a_time=2
    ablations plan study=table1 calibrate=false   at once, without times
    ablations plan study=table5 devices=8         for 8 devices, even if there
                                                  is one here
    ablations plan study=table1 data=cifar10 platform=cuda target=h100
    ablations plan study=table5 platform=tpu topology=v5e:2x2

    devices=8          plan for this many devices; if fewer are here, one is
                       measured with its part of a batch
    calibrate=true     run a few steps of each program, which takes seconds, and
                       keep their times in ~/.cache/ablations/plan; false leaves
                       out times and memory
    format=terminal    terminal, markdown, or csv (one line for each run, in
                       plain numbers)
    out=FILE           write to this file instead of the screen

All other settings are those of `ablations train`.

The plan has one line for each row: parameters, multiply-adds (MACs) for one
image, FLOP of a run, memory for the activations of a training step, the
compiled program, which several rows may share, the time of a run, and the state
of each seed: done, running, interrupted (at a step that is kept) or missing.
Below the lines are the sums of what is still to be trained.
"""

MORE = """\
For GPUs and TPUs that need not be here:

    platform=cuda      compile for NVIDIA GPUs; needs pip install -e '.[aot]'
    target=h100        which: {gpus}
    devices=4          over how many GPUs a run is spread; one by default
    platform=tpu       compile for TPUs; needs pip install -e '.[aot-tpu]'
    topology=v5e:2x2   which, and how many: {tpus}

With platform=..., it has XLA's figures for each program: memory, and whether it
fits; kernels a step, and how many are small; bytes a step; sums over devices;
on a TPU cycles; and the least time of a step and of a run by the data sheet.
Compiling takes half a minute to minutes a program; what is compiled is kept in
~/.cache/ablations/plan. `ablations inspect` shows one program in detail.
"""


def command(arguments: list[str]) -> int:
    """`ablations plan`: print or write a plan."""
    from ablations.config import compose
    from ablations.launch import choice, compiled_plan, compiled_table, plan_table
    from ablations.launch.plan import make

    settings, overrides = split(arguments, OWN, "plan")
    if flags := [word for word in overrides if word.startswith("-")]:
        raise UserError(f"{flags[0]}: unknown option; see ablations plan --help")
    calibrate = yes_or_no("calibrate", settings["calibrate"])
    check_choice("format", settings["format"], plan_table.FORMATS)
    target = chosen_target(settings)
    with compose.hydra() as context:
        jobs = choice.plan(context, overrides)
        if target:
            plan = compiled_plan.make(jobs, target)
        else:
            plan = make(context, jobs, overrides, calibrate=calibrate)
    _show(compiled_table if target else plan_table, plan, settings["format"], settings["out"])
    return 0


def _show(table: ModuleType, plan: "Plan", form: str, out: str) -> None:
    """table: the module that turns this kind of plan into text."""
    if form == "csv":
        give_out(table.as_csv(plan), out)
        return
    title, cells, notes = table.title(plan), table.cells(plan), table.notes(plan)
    if form == "terminal" and not out:
        grid.show(title, cells, table.RIGHT, notes)
    else:
        give_out(grid.markdown(title, cells, notes), out)
