"""What `ablations probe|lesion|landscape --help` prints."""

PROBE = """\
ablations probe run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations probe study=NAME [key=value ...]
ablations probe model=... shortcut=... [key=value ...]

Measures signal and gradient in every unit, over real images: of a finished run, of the newest checkpoint of one on
its way, of the rows of a study, or of a network before training.

    ablations probe run=runs/table1/identity/seed=0
    ablations probe study=table1 data=digits format=svg
    ablations probe model=resnet110 shortcut=exclusive_gating shortcut.bias=-6

    images=64          of the training set
    at=start           of a run or a study: the networks before training, not after it
{shared}

Per unit: the norm of dE/dx_l, and of the parts of it that come through shortcuts alone and through weights (Eqn. 5);
what is left of a gradient on its way through the shortcuts, against the product of Eqn. 8; the standard deviations
of x_l and F(x_l); the share of y_l that f = ReLU cuts off; 1 - g(x_l) of a gate; BN's scale. With
`ablations train recipe.probe_every=44` the same is written along training: probes.jsonl, one line a probe.
"""

LESION = """\
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

LANDSCAPE = """\
ablations landscape run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations landscape study=NAME [key=value ...]

The training loss around the weights of a finished run, along random filter-normalised directions (Li et al. 2018) and
in the plane of the first two; and training loss against test error along training, with the generalisation gap.

    ablations landscape run=runs/table1/identity/seed=0 format=svg
    ablations landscape study=table1 data=digits

    images=512         of the training set
    directions=5       lines through the solution
    points=21          on a line; on a side of the plane
{shared}
"""

SHARED = """\
    force=true         measure again what is measured
    out=FOLDER         write there, not beside the run
    format=svg         draw a figure, too: svg, pdf or png
    runs_dir=runs      of a study: where the runs are
    seed=0             of a study: which seed

What is measured is written as {command}.json beside the run. Any other setting of a study, as data=digits or
model=resnet110, selects the runs that have it."""

TEXTS = {"probe": PROBE, "lesion": LESION, "landscape": LANDSCAPE}
