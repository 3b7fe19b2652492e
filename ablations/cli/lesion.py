"""`ablations lesion`: a finished run without some of its units."""

HELP = """\
ablations lesion run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations lesion study=NAME [key=value ...]

Tests a finished run without each single unit, without k random ones, and with k random pairs of units swapped; and
finds how much gradient comes along paths of each length (after Veit et al. 2016). Nothing is trained.

    ablations lesion run=runs/table1/identity/seed=0 format=svg
    ablations lesion run=runs/table1/identity/seed=0 unit=19,20       without exactly these two
    ablations lesion study=table2 data=digits

    k=20               at most so many units or pairs at once
    draws=20           of each number of units or pairs
    paths=256          of each length; one an image of the training set
{shared}

A unit that is deleted is not there: x passes as it is. "Without F" leaves its shortcut and f in place. A unit that
changes the shape of x can only lose its F, and takes no part in what is random.
"""


def command(arguments: list[str]) -> int:
    from ablations.cli import analysis

    return analysis.command("lesion", arguments)
