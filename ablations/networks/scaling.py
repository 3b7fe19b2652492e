"""Later shortcuts, which scale F by trained numbers and start at, or near, the identity.

SkipInit and ReZero are one class, `ReZero`: the two papers have the same equation and the same start. They differ in
where it stands, in networks without BN or in any, and that the activation order says. So shortcut=skipinit is a second
file for the same class, and `ablations table` calls both rezero. 1/sqrt(2) on both branches needs no class: it is
constant_scaling with 0.7071 and 0.7071.

This module imports no JAX.
"""

from dataclasses import dataclass

from ablations.networks import registry
from ablations.networks.shortcut import Shortcut


@dataclass
class ReZero(Shortcut):
    """h(x) + a F(x), one trained a for each unit: SkipInit (De and Smith 2020) and ReZero (Bachlechner et al. 2020).

    start: a before training. With 0 each unit starts as f(h(x)), the identity; De and Smith 2020: 0, or at most
        1 / sqrt(units).
    """

    name: str = "rezero"
    start: float = 0.0

    def layers(self, build):
        return {"h": build.match(), "a": build.trained(self.start)}

    @property
    def scale(self):
        return 1.0

    @staticmethod
    def equation(x, fx, h, a):
        return h(x) + a * fx


@dataclass
class LayerScale(Shortcut):
    """h(x) + d F(x), one trained d for each channel: LayerScale (Touvron et al. 2021).

    start: all d before training.
    """

    name: str = "layerscale"
    start: float = 1e-4

    def layers(self, build):
        return {"h": build.match(), "d": build.trained(self.start, each_channel=True)}

    @property
    def scale(self):
        return 1.0

    @staticmethod
    def equation(x, fx, h, d):
        return h(x) + d * fx


@dataclass
class Fixup(Shortcut):
    """h(x) + a F(x) + b, one trained a = 1 and b = 0 for each unit: Fixup (Zhang et al. 2019), for networks without BN.

    The last convolution of F starts at 0, and the m - 1 before it at units^(-1 / (2m - 2)) of their usual start, where
    `units` are those of the whole network.

    Deviation: a shortcut reaches neither the inside of F nor the classifier. So there is no trained bias before each
    convolution and each ReLU, and the classifier does not start at 0. a and b have the learning rate of all others,
    where the authors' code takes a tenth. An F that ends in parallel branches starts as usual: a 0 before them would
    pass through their ReLUs, which then let no gradient through, and F would never learn.
    """

    name: str = "fixup"

    def layers(self, build):
        return {"h": build.match(), "a": build.trained(1.0), "b": build.trained(0.0)}

    @property
    def scale(self):
        return 1.0

    def branch_start(self, convolutions, units):
        first = units ** (-1 / (2 * convolutions - 2)) if convolutions > 1 else 1.0
        return (*[first] * (convolutions - 1), 0.0) if convolutions else ()

    def refusal(self, order):
        if "relu" not in order.after:
            return None
        return (
            f"activation={order.name} ends F in a ReLU, which lets no gradient through to a last convolution that starts "
            "at 0, so F would never learn; choose an order without a ReLU there, such as without_bn"
        )

    @staticmethod
    def equation(x, fx, h, a, b):
        return h(x) + a * fx + b


# All shortcuts by name: the paper's, `none`, these, and those that are defined elsewhere.
SHORTCUTS = registry.SHORTCUTS
