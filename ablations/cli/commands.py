"""The subcommands: the name of each and its file here, which is imported when the command is used; what --help prints.

Such a file has `command(arguments)`, which returns the exit code or None for 0, and `HELP`.
"""

from importlib import import_module
from types import ModuleType

COMMANDS = (
    *("plan", "bench", "train", "status", "table", "figure", "report", "data", "eval", "export", "dashboard"),
    *("probe", "lesion", "landscape", "completion"),
)

HELP = """\
Train very deep residual networks with other shortcuts and activation orders, and print the tables of
"Identity Mappings in Deep Residual Networks" (He et al. 2016), the paper's figures beside ours.

    ablations plan        say what a study or a sweep costs and what of it is done, before anything runs
    ablations bench       measure how fast configurations train on this machine
    ablations train       train one network, a sweep, or all rows of a study
    ablations status      say what of it is done, runs, waits or has failed, here or in a cluster's queue
    ablations table       print a study's table from the runs on disk
    ablations figure      draw a study's figures from the runs on disk
    ablations report      make one page of a folder of runs: answers, tables, figures, each run
    ablations data        bring a data set here, once: CIFAR-10, CIFAR-100, ImageNet
    ablations eval        test a finished run again
    ablations probe       see why: signal and gradient in every unit
    ablations lesion      see why: test without some units, or with units in another order
    ablations landscape   see why: the loss along training, and around a solution
    ablations export      write the weights of a run for other programs
    ablations dashboard   lay out a study's runs at Weights & Biases
    ablations completion  print the code that completes commands in bash

After the subcommand everything is Hydra's syntax: key=value. `ablations train --help` lists the keys. With
--import mine.py shortcuts of your own are choices too, for every command.

In five minutes on two cores:

    ablations train study=demo
    ablations table study=demo
"""

# What `ablations probe`, `lesion` and `landscape` share of theirs.
SHARED = """\
    force=true         measure again what is measured
    out=FOLDER         write there, not beside the run
    format=svg         draw a figure, too: svg, pdf or png
    runs_dir=runs      of a study: where the runs are
    seed=0             of a study: which seed

What is measured is written as {command}.json beside the run. Any other setting of a study, as data=digits or
model=resnet110, selects the runs that have it."""


def load(command: str) -> ModuleType:
    return import_module(f"ablations.cli.{command}")
