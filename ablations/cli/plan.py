"""`ablations plan`: what a study or a sweep will cost, and how much of it is done."""

from ablations.cli.arguments import split
from ablations.errors import UserError
from ablations.terminal import grid
from ablations.terminal.output import give_out

HELP = """\
ablations plan [key=value ...]

Says what `ablations train` with the same settings will cost on this machine, and how much of it is
done. It trains nothing, and does not need the data set.

    ablations plan study=table1 data=cifar10 recipe=paper
    ablations plan model=resnet164 seed=0,1,2 runs_at_a_time=2
    ablations plan study=table1 calibrate=false             at once, without times
    ablations plan study=table5 devices=8                   for 8 devices, even if there is one here

    devices=8          plan for this many devices; if fewer are here, one is measured with its part
                       of a batch
    calibrate=true     run a few steps of each program, which takes seconds, and keep their times in
                       ~/.cache/ablations/plan; false leaves out times and memory
    format=terminal    terminal, markdown, or csv (one line for each run, in plain numbers)
    out=FILE           write to this file instead of the screen

All other settings are those of `ablations train`.

The plan has one line for each row: parameters, multiply-adds (MACs) for one image, FLOP of a run,
memory for the activations of a training step, the compiled program, which several rows may share,
the time of a run, and the state of each seed: done, running, interrupted (at a step that is kept)
or missing. Below the lines are the sums of what is still to be trained.
"""


def command(arguments: list[str]) -> int:
    """`ablations plan`: print or write a plan."""
    from ablations.config import compose
    from ablations.config import jobs as sweep
    from ablations.launch.plan import make
    from ablations.launch.plan_table import FORMATS, RIGHT, as_csv, cells, notes, title

    settings, overrides = split(arguments, {"calibrate": "true", "format": "terminal", "out": ""})
    if flags := [word for word in overrides if word.startswith("-")]:
        raise UserError(f"{flags[0]}: unknown option; see ablations plan --help")
    if settings["calibrate"] not in ("true", "false"):
        raise UserError(f"calibrate={settings['calibrate']}: legal are true, false")
    if settings["format"] not in FORMATS:
        raise UserError(f"format={settings['format']}: legal are {', '.join(FORMATS)}")
    with compose.hydra() as context:
        jobs = sweep.plan(context, overrides)
        plan = make(context, jobs, overrides, calibrate=settings["calibrate"] == "true")
    if settings["format"] == "terminal" and not settings["out"]:
        grid.show(title(plan), cells(plan), RIGHT, notes(plan))
        return 0
    text = as_csv(plan) if settings["format"] == "csv" else grid.markdown(title(plan), cells(plan), notes(plan))
    give_out(text, settings["out"])
    return 0
