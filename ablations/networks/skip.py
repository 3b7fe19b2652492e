"""The addition in a unit: x and F(x) are summed by one shortcut class, with the layers that it needs."""

import jax.numpy as jnp
from flax import nnx

from ablations.networks import registry
from ablations.networks.architecture import Match
from ablations.networks.layers import DropoutLayer, Gate, Number, Projection, ZeroPadding
from ablations.networks.shortcut import Shortcut


class Build:
    """Makes the layers of a shortcut from one shape to another, so that the shortcut need not know the shapes.

    shape: (channels of x, channels of F(x), stride of F). bn: whether BN follows a projection that changes the shape.
    init: how its weights are drawn.
    """

    def __init__(
        self, shape: tuple[int, int, int], match: Match, *, bn: bool, init: str = "he_fan_out", rngs: nnx.Rngs
    ):
        self.shape, self.match_settings, self.bn, self.init, self.rngs = shape, match, bn, init, rngs

    def match(self) -> nnx.Module:
        """The layer h: x itself, or what gives x the shape of F(x)."""
        channels, filters, stride = self.shape
        if (channels, stride) != (filters, 1) and self.match_settings.projection_kernel:
            return self.projection(kernel=self.match_settings.projection_kernel, bn=self.bn)
        return ZeroPadding(*self.shape, padding=self.match_settings.padding)

    def number(self, value: float) -> Number:
        """A constant."""
        return Number(jnp.asarray(value, jnp.float32))

    def trained(self, value: float, *, each_channel: bool = False) -> nnx.Param:
        """A number that starts at `value` and is trained: one for the unit, or one for each channel of F(x)."""
        return nnx.Param(jnp.full(self.shape[1] if each_channel else (), value, jnp.float32))

    def gate(self, bias: float, **design) -> Gate:
        return Gate(*self.shape, bias=bias, init=self.init, rngs=self.rngs, **design)

    def projection(self, *, kernel: int, bn: bool) -> Projection:
        design = {"bias": self.match_settings.bias, "init": self.init}
        return Projection(*self.shape, kernel=kernel, bn=bn, rngs=self.rngs, **design)

    def dropout(self, rate: float, *, inverted: bool) -> DropoutLayer:
        return DropoutLayer(rate, inverted=inverted, rngs=self.rngs)


class Skip(nnx.Module):
    """A shortcut with its layers: (x, F(x)) -> their sum, by the equation of the shortcut. shape, design: see `Build`."""

    def __init__(self, shortcut: Shortcut, shape: tuple[int, int, int], match: Match, *, rngs: nnx.Rngs, **design):
        self.kind, self.equation = type(shortcut), type(shortcut).equation
        with registry.blamed_on(self.kind):
            layers = shortcut.layers(Build(shape, match, rngs=rngs, **design))
        self.names = tuple(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def layers(self, dtype) -> dict:
        """The arguments of the equation besides x and F(x); numbers have this dtype.

        Those of the channels have the shape (1, 1, 1, C).
        """
        layers = {name: getattr(self, name) for name in self.names}
        return {
            name: _number(layer, dtype) if isinstance(layer, Number | nnx.Param) else layer
            for name, layer in layers.items()
        }

    def __call__(self, x, fx):
        with registry.blamed_on(self.kind):
            total = self.equation(x, fx, **self.layers(x.dtype))
            registry.check_sum(self.kind, x, fx, total)
        return total


def _number(number: nnx.Variable, dtype):
    value = number.astype(dtype)
    return value.reshape(1, 1, 1, -1) if value.ndim else value
