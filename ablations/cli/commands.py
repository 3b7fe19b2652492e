"""The commands. Each has a file of its name in this folder, which is imported only when it is used.

Such a file has `command(arguments)`, which returns the exit code or None for 0, and its help text, `HELP`; MORE is what
only `--help all` prints.
"""

from importlib import import_module
from types import ModuleType

COMMANDS = (
    *("plan", "bench", "train", "status", "table", "critical", "figure", "report"),
    *("data", "eval", "import", "export", "dashboard"),
    *("probe", "lesion", "landscape", "inspect", "completion"),
)

HELP = """\
Train very deep residual networks with different shortcuts and activation
orders, and print the tables of "Identity Mappings in Deep Residual Networks"
(He et al. 2016), the paper's figures beside ours. This takes six to nine
minutes on two cores:

    ablations train study=demo
    ablations table study=demo

The commands that most people need:

    plan         say what a study or a sweep will cost, and how much is done
    train        train one network, a sweep, or all rows of a study
    status       say which runs are done, running, waiting or failed
    table        print a study's table from the runs on disk
    figure       draw a study's figures from the runs on disk
    report       make one page of all runs: answers, tables, figures, each run

To see why a network learns or fails:

    critical     say at which depth each shortcut or order begins to fail
    probe        measure signal and gradient in every unit
    lesion       test without some units, or with units in another order
    landscape    measure the loss during training, and around a solution

The others:

    data         prepare a data set, once: CIFAR-10, CIFAR-100, ImageNet
    eval         test a finished run again
    bench        measure how fast configurations train on this machine
    inspect      compile for a GPU or a TPU that need not be here
    import       read PyTorch's weights, such as torchvision's
    export       write the weights of a run for other programs
    dashboard    lay out a study's runs at Weights & Biases
    completion   print the code that completes commands in a shell

`ablations COMMAND --help` explains a command, `ablations COMMAND --help all`
has all of its settings. They follow the command as key=value, in Hydra's
syntax. With --import mine.py, every command knows the shortcuts and orders
that your file defines.
"""

# A part of the help texts of `ablations probe`, `lesion` and `landscape`.
SHARED = """\
    format=svg         draw a figure, too: svg, pdf or png
    out=FOLDER         write to this folder instead of the run's
    force=true         measure again what is already measured
    runs_dir=runs      with a study: where the runs are
    seed=0             with a study: the seed to measure

The result is written to {command}.json in the run's folder. With a study, any
other setting, such as data=digits or model=resnet110, selects the runs that
have it."""


def load(command: str) -> ModuleType:
    return import_module(f"ablations.cli.{command}")
