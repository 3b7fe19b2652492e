"""`ablations bench`: how fast configurations train on this machine."""

from dataclasses import replace

from ablations.cli.arguments import check_choice, split
from ablations.errors import UserError
from ablations.terminal import grid
from ablations.terminal.output import give_out

OWN = {"format": "terminal", "out": "", "pixels": ""}

HELP = """\
ablations bench [key=value ...]

Measures how fast configurations train on this machine. It needs no data set.
Let nothing else run meanwhile.

    ablations bench model=resnet20,resnet110 data=cifar10 recipe.batch_size=128
    ablations bench model=resnet110 \\
        packing=interleaved,vmap,processes runs_at_a_time=2,4
    ablations bench model=resnet110 unroll=false,true \\
        precision=f32,bf16 format=json out=bench.json

    pixels=32          the width of the images, if not the data set's
    format=terminal    terminal, markdown or json
    out=FILE           write to this file instead of the screen

All other settings are those of `ablations train`; if one has several values,
all are measured.

It prints the seconds to trace, to compile and to load from the cache; the
median and the quartiles of the time of a step; images per second; memory; and
FLOP/s and bytes/s beside what a large matrix product and a large copy reach on
this machine.
"""


def command(arguments: list[str]) -> int:
    """`ablations bench`: measure and print."""
    from ablations.config import compose
    from ablations.config import jobs as sweep
    from ablations.costs.bench import FORMATS, RIGHT, as_json, cells, notes, run, title

    settings, overrides = split(arguments, OWN, "bench")
    if flags := [word for word in overrides if word.startswith("-")]:
        raise UserError(f"{flags[0]}: unknown option; see ablations bench --help")
    check_choice("format", settings["format"], FORMATS)
    if not (settings["pixels"] or "1").isdigit() or settings["pixels"] == "0":
        raise UserError(f"pixels={settings['pixels']}: give the width of the images, such as pixels=32")
    with compose.hydra() as context:
        jobs = sweep.plan(context, overrides)
    configs = list({repr(replace(job.config, row="", seed=0)): job.config for job in jobs}.values())
    results = run(configs, int(settings["pixels"]) if settings["pixels"] else None)
    if settings["format"] == "terminal" and not settings["out"]:
        grid.show(title(results), cells(results), RIGHT, notes(results))
        return 0
    text = (
        as_json(results)
        if settings["format"] == "json"
        else grid.markdown(title(results), cells(results), notes(results))
    )
    give_out(text, settings["out"])
    return 0
