"""`ablations probe`: signal and gradient in every unit."""

HELP = """\
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


def command(arguments: list[str]) -> int:
    from ablations.cli import analysis

    return analysis.command("probe", arguments)
