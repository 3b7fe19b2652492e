"""The commands. Each has a file of its name in this folder, which is imported only when it is used.

Such a file has `command(arguments)`, which returns the exit code or None for 0, and its help text, `HELP`.
"""

from importlib import import_module
from types import ModuleType

COMMANDS = (
    *("plan", "bench", "train", "status", "table", "critical", "figure", "report"),
    *("data", "eval", "import", "export", "dashboard"),
    *("probe", "lesion", "landscape", "inspect", "completion"),
)

HELP = """\
Train very deep residual networks with different shortcuts and activation orders, and print the
tables of "Identity Mappings in Deep Residual Networks" (He et al. 2016), the paper's figures beside
ours. This takes five minutes on two cores:

    ablations train study=demo
    ablations table study=demo

All commands; `ablations COMMAND --help` explains each:

    ablations plan        say what a study or a sweep will cost, and how much of it is done
    ablations bench       measure how fast configurations train on this machine
    ablations train       train one network, a sweep, or all rows of a study
    ablations status      say which runs are done, running, waiting or failed, also in a queue
    ablations table       print a study's table from the runs on disk
    ablations critical    say at which depth each shortcut or order begins to fail
    ablations figure      draw a study's figures from the runs on disk
    ablations report      make one page of a folder of runs: answers, tables, figures, each run
    ablations data        prepare a data set, once: CIFAR-10, CIFAR-100, ImageNet
    ablations eval        test a finished run again
    ablations probe       see why: signal and gradient in every unit
    ablations lesion      see why: test without some units, or with units in another order
    ablations landscape   see why: the loss during training, and around a solution
    ablations inspect     compile for a GPU or a TPU that need not be here, and show the kernels
    ablations import      read PyTorch's weights, such as torchvision's
    ablations export      write the weights of a run for other programs
    ablations dashboard   lay out a study's runs at Weights & Biases
    ablations completion  print the code that completes commands in bash, zsh or fish

Settings follow the command in Hydra's syntax, key=value; `ablations train --help` lists them. With
--import mine.py, every command knows the shortcuts and orders that your file defines.
"""

# A part of the help texts of `ablations probe`, `lesion` and `landscape`.
SHARED = """\
    format=svg         draw a figure, too: svg, pdf or png
    out=FOLDER         write to this folder instead of the run's
    force=true         measure again what is already measured
    runs_dir=runs      with a study: where the runs are
    seed=0             with a study: the seed to measure

The result is written to {command}.json in the run's folder. With a study, any other setting, such
as data=digits or model=resnet110, selects the runs that have it."""


def load(command: str) -> ModuleType:
    return import_module(f"ablations.cli.{command}")
