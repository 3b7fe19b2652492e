"""The five activation orders of Table 2 and Fig. 4, as data.

A residual unit computes x' = f(h(x) + F(x)). An order says whether BN and ReLU stand in each of four
places: before the first convolution of F, between its convolutions, after the last one, and after
the addition (where they are f).

A sixth order is one more entry of ORDERS, here or in a file of your own that `--import` names:

    ORDERS["mine"] = ActivationOrder("mine", ["relu"], ["bn", "relu"], ["bn"], [])

and is chosen by `activation=mine`.
"""

from dataclasses import dataclass

LEGAL = ("bn", "relu")


@dataclass
class ActivationOrder:
    """Where BN and ReLU stand in a residual unit; each place has a sequence of "bn" and "relu"."""

    name: str
    before: list[str]
    between: list[str]
    after: list[str]
    after_addition: list[str]

    def __post_init__(self):
        for place in ("before", "between", "after", "after_addition"):
            sequence = getattr(self, place)
            if unknown := sorted(set(sequence) - set(LEGAL)):
                raise ValueError(
                    f"activation.{place}={sequence}: {unknown[0]!r} is unknown; legal are {', '.join(LEGAL)}"
                )
            if sequence.count("bn") > 1:
                raise ValueError(f"activation.{place}={sequence}: a place can have only one bn")

    @property
    def outside(self) -> list[str]:
        """What follows a convolution outside of units: BN and ReLU, or ReLU alone if the order has no BN."""
        places = (self.before, self.between, self.after, self.after_addition)
        return ["bn", "relu"] if any("bn" in place for place in places) else ["relu"]


NO_ACTIVATIONS = ActivationOrder("none", [], [], [], [])  # of a unit in which no order stands

ORDERS = {
    order.name: order
    for order in [
        #               name                       before          between         after           after the addition
        ActivationOrder("original",                [],             ["bn", "relu"], ["bn"],         ["relu"]),
        ActivationOrder("bn_after_addition",       [],             ["bn", "relu"], [],             ["bn", "relu"]),
        ActivationOrder("relu_before_addition",    [],             ["bn", "relu"], ["bn", "relu"], []),
        ActivationOrder("relu_only_preactivation", ["relu"],       ["bn", "relu"], ["bn"],         []),
        ActivationOrder("full_preactivation",      ["bn", "relu"], ["bn", "relu"], [],             []),
    ]
}  # fmt: skip

# Those of other families: of units whose output is linear (MobileNet v2), and of networks without BN (VGG, U-Net).
for order in [
    ActivationOrder("linear_bottleneck", [], ["bn", "relu"], ["bn"], []),
    ActivationOrder("without_bn", [], ["relu"], [], ["relu"]),
]:
    ORDERS[order.name] = order
OURS = dict(ORDERS)
