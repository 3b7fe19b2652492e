"""`ablations probe`: signal and gradient in every unit."""

HELP = """\
ablations probe run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations probe study=NAME [key=value ...]
ablations probe model=... shortcut=... [key=value ...]

Measures signal and gradient in every unit, over real images. The network is
that of a run (after training, or at its newest checkpoint), of each row of a
study, or of settings, before training.

    ablations probe run=runs/table1/identity/seed=0
    ablations probe study=table1 data=digits format=svg
    ablations probe model=resnet110 shortcut=exclusive_gating shortcut.bias=-6

    images=64          how many images of the training set
    at=start           with a run or a study: the networks before training
{shared}

For each unit it prints: the norm of dE/dx_l, and those of its parts through
shortcuts alone and through weights (Eqn. 5); what is left of a gradient on its
way through the shortcuts, beside the product of Eqn. 8; the standard deviations
of x_l and F(x_l); the share of y_l that f = ReLU cuts off; 1 - g(x_l) of a
gate; and BN's scale.

`ablations train recipe.probe_every=44` measures the same during training, in
probes.jsonl, with one line for each probe.
"""


def command(arguments: list[str]) -> int:
    from ablations.cli import analysis

    return analysis.command("probe", arguments)
