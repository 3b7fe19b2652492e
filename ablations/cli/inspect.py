"""`ablations inspect`: what XLA compiles for GPUs and TPUs that need not be here."""

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.cli.arguments import TARGET, check_choice, chosen_target, split
from ablations.errors import UserError
from ablations.system.files import write_whole
from ablations.terminal import grid
from ablations.terminal.output import give_out

if TYPE_CHECKING:
    from ablations.compilers.program import Compiled
    from ablations.compilers.target import Target
    from ablations.config.run import Config

OWN = {"out": "", "top": "20", "format": "terminal"} | TARGET

HELP = """\
ablations inspect platform=... [key=value ...]

Compiles the training step of one configuration for GPUs or TPUs that need not
be here, writes the program, and prints its heaviest kernels with the line of
the source that each comes from. Nothing is run.

    ablations inspect platform=cuda target=h100 \\
        model=resnet110 data=cifar10 precision=bf16 out=h100
    ablations inspect platform=tpu topology=v5e:1x1 \\
        model=resnet110 data=cifar10 top=50

    platform=cuda      NVIDIA GPUs; needs pip install -e '.[aot]'
    target=h100        which: {gpus}
    devices=4          over how many GPUs the run is spread; one by default
    platform=tpu       TPUs; needs pip install -e '.[aot-tpu]'
    topology=v5e:2x2   which, and how many: {tpus}
    out=FOLDER         write step.stablehlo, as the program is given to XLA, and
                       step.hlo, as XLA has optimised it, into this folder
    top=20             how many kernels to print
    format=terminal    terminal, markdown, or csv (all kernels, in plain
                       numbers)

All other settings are those of `ablations train`, each with one value.

Each kernel has its kind, how often a step runs it, the bytes that it reads and
writes, on a TPU XLA's estimate of its cycles, and its line. Below are the sums
of each kind of kernel.
"""


def command(arguments: list[str]) -> int:
    """`ablations inspect`: compile, write and print."""
    from ablations.compilers.kernel_table import FORMATS, RIGHT, as_csv, heaviest, kinds, notes
    from ablations.config import compose
    from ablations.config import jobs as sweep

    settings, overrides = split(arguments, OWN, "inspect")
    if flags := [word for word in overrides if word.startswith("-")]:
        raise UserError(f"{flags[0]}: unknown option; see ablations inspect --help")
    check_choice("format", settings["format"], FORMATS)
    if not settings["top"].isdigit() or settings["top"] == "0":
        raise UserError(f"top={settings['top']}: give the number of kernels to print, such as top=20")
    target = chosen_target(settings)
    if target is None:
        raise UserError("inspect needs platform=cuda target=h100, or platform=tpu topology=v5e:1x1; see --help")
    with compose.hydra() as context:
        jobs = sweep.plan(context, overrides)
    if len(jobs) > 1:
        raise UserError(f"these settings are {len(jobs)} runs; give one value of each, and of a study a row and a seed")
    compiled = _compiled(jobs[0].config, target)
    if settings["out"]:
        _write(compiled, Path(settings["out"]))
    program, title = compiled.program, f"{jobs[0].config.row}, for {target.title}"
    if settings["format"] == "csv":
        give_out(as_csv(program), "")
        return 0
    tables = (title, heaviest(program, int(settings["top"])), []), ("Sums by kind", kinds(program), notes(program))
    for heading, cells, below in tables:
        if settings["format"] == "terminal":
            grid.show(heading, cells, RIGHT, below)
        else:
            give_out(grid.markdown(heading, cells, below) + "\n", "")
    return 0


def _compiled(config: "Config", target: "Target") -> "Compiled":
    from ablations.launch.compiled_plan import prepared

    [(config, figures)] = prepared([config], target)
    from ablations.costs import compiled
    from ablations.terminal.bar import bar

    with bar("compiling", 1, "programs") as update:
        update(0)
        made = compiled.step(config, figures, target)
        update(1)
    return made


def _write(compiled: "Compiled", folder: Path) -> None:
    """Raises UserError if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("step.stablehlo", compiled.stablehlo), ("step.hlo", compiled.hlo)):
            write_whole(folder / name, text)
            print(f"wrote {folder / name}: {len(text):,} bytes")
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written: {error.strerror}") from error
