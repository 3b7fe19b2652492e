"""What a unit adds up: the shortcut and F(x) through one shortcut class; the layers that it is built from."""

import jax.numpy as jnp
from flax import nnx

from ablations.networks.layers import DropoutLayer, Gate, Number, Projection, ZeroPadding
from ablations.networks.resnet.config import ModelConfig
from ablations.networks.shortcut import Shortcut


class Build:
    """Makes the layers of a shortcut between two given shapes, so that the shortcut need not know them.

    bn: whether a projection where the shape changes is followed by BN.
    """

    def __init__(self, channels: int, filters: int, stride: int, *, model: ModelConfig, bn: bool, rngs: nnx.Rngs):
        self.shape = (channels, filters, stride)
        self.model, self.bn, self.rngs = model, bn, rngs

    def match(self) -> nnx.Module:
        """h where nothing else is asked for: x itself, or what gives x the shape of F(x)."""
        channels, filters, stride = self.shape
        if (channels, stride) != (filters, 1) and self.model.dimension_change == "projection":
            return Projection(*self.shape, kernel=self.model.projection_kernel, bn=self.bn, rngs=self.rngs)
        return ZeroPadding(*self.shape, padding=self.model.padding)

    def number(self, value: float) -> Number:
        return Number(jnp.asarray(value, jnp.float32))

    def gate(self, bias: float, **design) -> Gate:
        return Gate(*self.shape, bias=bias, rngs=self.rngs, **design)

    def projection(self, *, kernel: int, bn: bool) -> Projection:
        return Projection(*self.shape, kernel=kernel, bn=bn, rngs=self.rngs)

    def dropout(self, rate: float, *, inverted: bool) -> DropoutLayer:
        return DropoutLayer(rate, inverted=inverted, rngs=self.rngs)


class Sum(nnx.Module):
    """A shortcut with its layers: (x, F(x)) -> their sum, by the equation of the shortcut."""

    def __init__(self, shortcut: Shortcut, build: Build):
        self.equation = type(shortcut).equation
        layers = shortcut.layers(build)
        self.names = tuple(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def layers(self, dtype) -> dict:
        """What the equation is called with beside x and F(x); numbers in this type."""
        layers = {name: getattr(self, name) for name in self.names}
        return {k: v.astype(dtype) if isinstance(v, Number) else v for k, v in layers.items()}

    def __call__(self, x, fx):
        return self.equation(x, fx, **self.layers(x.dtype))
