"""`ablations lesion`: test a finished run without some of its units."""

HELP = """\
ablations lesion run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations lesion study=NAME [key=value ...]

Tests a finished run without each single unit, without k random units, and with
k random pairs of units swapped; and finds how much gradient comes along paths
of each length (after Veit et al. 2016). It trains nothing.

    ablations lesion run=runs/table1/identity/seed=0 format=svg
    ablations lesion run=runs/table1/identity/seed=0 unit=19,20
    ablations lesion study=table2 data=digits

    k=20        the largest number of units or pairs
    draws=20    random choices for each number
    unit=19,20  delete exactly these two, and nothing at random
    paths=256   paths of each length, one for each image of the training set
{shared}

A deleted unit passes x on as it is. "Without F" keeps the unit's shortcut and
f. A unit that changes the shape of x can only lose its F, and is never chosen
at random.
"""


def command(arguments: list[str]) -> int:
    from ablations.cli import analysis

    return analysis.command("lesion", arguments)
