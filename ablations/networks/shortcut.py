"""The six shortcuts of Table 1 and Fig. 2, and none: each class has settings, layers and an equation.

A shortcut takes x and F(x) and returns their sum. It does not know in what network it stands: h gives
x the shape of F(x), and is x itself if the two shapes are equal.

A shortcut of your own is one more class, in a file of your own, mine.py:

    from dataclasses import dataclass

    from ablations.networks.shortcut import Shortcut


    @dataclass
    class Halved(Shortcut):
        name: str = "halved"

        def layers(self, build):
            return {"h": build.match()}

        @staticmethod
        def equation(x, fx, h):
            return h(x) / 2 + fx

and is trained by `ablations train shortcut=halved --import mine.py`; in a notebook, the cell that defines the class is
enough. The fields of the class are its settings, as in shortcut.rate=0.5. Numbers that vary over the rows of a table go
through `build.number`, so that rows which differ only in a number share one compiled program. See docs/shortcuts.md.
Those of later papers are in `scaling.py`.

This module imports no JAX: it is also the schema of `conf/shortcut/`, where a class needs a file only to say where its
numbers come from.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass

from ablations.networks import registry
from ablations.networks.activation import ActivationOrder


@dataclass
class Shortcut(metaclass=registry.ShortcutClass):
    """Settings that every shortcut has; abstract.

    at_dimension_change: whether the shortcut also stands on the units that change the shape of x;
        if not, those units have an identity shortcut. The paper does not say, but its parameter counts
        are those of a shortcut on all units.
    """

    name: str
    at_dimension_change: bool = True

    @abstractmethod
    def layers(self, build) -> dict:
        """The layers that `equation` is called with, by name, made by a `layers.Build`."""
        raise NotImplementedError

    @property
    def scale(self) -> float | None:
        """lambda of Eqn. 8: the factor on the shortcut before training; None if it is not a number."""
        return None

    def branch_start(self, convolutions: int, units: int) -> tuple[float, ...] | None:
        """A factor for the first kernel of each convolution of F; None to leave them as the network draws them.

        It is asked for only where F ends in one of these convolutions, not in parallel branches.

        convolutions: those of F, one after another. units: those of the whole network.
        """
        return None

    def refusal(self, order: ActivationOrder) -> str | None:
        """Why this shortcut cannot stand in units of this activation order; None if it can."""
        return None

    @staticmethod
    @abstractmethod
    def equation(x, fx, *_, **layers):
        """The sum of x, (N, H, W, C), and fx = F(x), (N, H', W', C'); returns (N, H', W', C')."""
        raise NotImplementedError

    def __post_init__(self):
        key = type(self).__dataclass_fields__["name"].default
        if self.name != key:
            raise ValueError(f"shortcut.name={self.name}: choose a shortcut with shortcut={self.name}")


@dataclass
class Identity(Shortcut):
    """h(x) = x: Fig. 2(a), Eqn. 3."""

    name: str = "identity"

    def layers(self, build):
        return {"h": build.match()}

    @property
    def scale(self):
        return 1.0

    @staticmethod
    def equation(x, fx, h):
        return h(x) + fx


@dataclass
class ConstantScaling(Shortcut):
    """Both branches scaled by a constant: Fig. 2(b), Sec. 3.1. Scale 0 on the shortcut is the plain network."""

    name: str = "constant_scaling"
    shortcut_scale: float = 0.5
    residual_scale: float = 0.5

    def layers(self, build):
        return {"h": build.match(), "a": build.number(self.shortcut_scale), "b": build.number(self.residual_scale)}

    @property
    def scale(self):
        return self.shortcut_scale

    @staticmethod
    def equation(x, fx, h, a, b):
        return a * h(x) + b * fx


@dataclass
class Gated(Shortcut):
    """Settings of the two gated shortcuts: g(x) = sigmoid(W_g x + b_g), element-wise; abstract.

    bias: the initial b_g. gate_bn: put BN between W_g and the sigmoid; b_g is then BN's shift, otherwise a bias
    of its own. gate_kernel: the size of W_g, 1 in the paper. gate_convolutions: 2 adds a convolution, BN if
    gate_bn, and ReLU before W_g, as in later highway networks; 1 in the paper.
    """

    bias: float = -6.0
    gate_bn: bool = False
    gate_kernel: int = 1
    gate_convolutions: int = 1

    def layers(self, build):
        gate = build.gate(self.bias, kernel=self.gate_kernel, bn=self.gate_bn, convolutions=self.gate_convolutions)
        return {"h": build.match(), "gate": gate}

    @property
    def scale(self):
        return (1 - math.tanh(self.bias / 2)) / 2  # 1 - sigmoid(b_g), if W_g x is small beside b_g

    def __post_init__(self):
        super().__post_init__()
        for name, legal in (("gate_kernel", (1, 3)), ("gate_convolutions", (1, 2))):
            if (value := getattr(self, name)) not in legal:
                raise ValueError(f"shortcut.{name}={value}: legal are {legal[0]} and {legal[1]}")


@dataclass
class ExclusiveGating(Gated):
    """The shortcut gets 1 - g(x), F gets g(x), as in Highway Networks: Fig. 2(c), Sec. 3.1."""

    name: str = "exclusive_gating"

    @staticmethod
    def equation(x, fx, h, gate):
        g = gate(x)
        return (1 - g) * h(x) + g * fx


@dataclass
class ShortcutOnlyGating(Gated):
    """The shortcut gets 1 - g(x), F is left alone: Fig. 2(d), Sec. 3.1."""

    name: str = "shortcut_only_gating"

    @staticmethod
    def equation(x, fx, h, gate):
        g = gate(x)
        return (1 - g) * h(x) + fx


@dataclass
class Conv1x1(Shortcut):
    """A 1x1 convolution on every shortcut, "option C": Fig. 2(e), Sec. 3.1.

    bn: BN after the convolution, as after every weight layer (caption of Fig. 2).
    """

    name: str = "conv1x1"
    bn: bool = True

    def layers(self, build):
        return {"w": build.projection(kernel=1, bn=self.bn)}

    @staticmethod
    def equation(x, fx, w):
        return w(x) + fx


@dataclass
class Dropout(Shortcut):
    """Dropout on the shortcut's output: Fig. 2(f), Sec. 3.1.

    inverted: divide by 1 - rate when training, as frameworks do. The paper speaks of an expected
    scale of 0.5 at rate 0.5, which is true only without that division; the output is then
    multiplied by 1 - rate at test time.
    """

    name: str = "dropout"
    rate: float = 0.5
    inverted: bool = False

    def layers(self, build):
        return {"h": build.match(), "drop": build.dropout(self.rate, inverted=self.inverted)}

    @property
    def scale(self):
        return 1.0 if self.inverted else 1 - self.rate  # in expectation

    @staticmethod
    def equation(x, fx, h, drop):
        return drop(h(x)) + fx

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.rate < 1:
            raise ValueError(f"shortcut.rate={self.rate}: a rate is at least 0 and below 1")


@dataclass
class NoShortcut(Shortcut):
    """Nothing is added to F(x): the plain network of the same layers, and the published form of VGG and others."""

    name: str = "none"

    def layers(self, build):
        return {}

    @property
    def scale(self):
        return 0.0

    @staticmethod
    def equation(x, fx):
        return fx
