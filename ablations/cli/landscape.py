"""`ablations landscape`: the loss during training, and around a solution."""

HELP = """\
ablations landscape run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations landscape study=NAME [key=value ...]

Measures the training loss around the weights of a finished run, along random
filter-normalised directions (Li et al. 2018) and in the plane of the first two;
and shows training loss against test error during training, with the
generalisation gap.

    ablations landscape run=runs/table1/identity/seed=0 format=svg
    ablations landscape study=table1 data=digits

    images=512         how many images of the training set
    directions=5       how many lines through the solution
    points=21          points on each line, and on each side of the plane
{shared}
"""


def command(arguments: list[str]) -> int:
    from ablations.cli import analysis

    return analysis.command("landscape", arguments)
