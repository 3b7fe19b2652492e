"""The residual network: a stem, stages of residual units, and a linear classifier.

The units of a stage that are alike are stacked on a leading axis and run by one `lax.scan`, so that
time to compile does not grow with depth.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from ablations.activation import ActivationOrder
from ablations.layers import Activation, Conv
from ablations.model import ModelConfig
from ablations.shortcut import Shortcut
from ablations.unit import ResidualUnit


class Stage(nnx.Module):
    """The first unit, which may change the shape of x, and the rest, which are alike and stacked."""

    def __init__(self, units: int, channels: int, width: int, stride: int, *, first: bool, rngs: nnx.Rngs, **of_all):
        self.first = ResidualUnit(channels, width, stride, first=first, rngs=rngs, **of_all)
        filters = self.first.convolutions[-1].kernel.shape[-1]

        @nnx.split_rngs(splits=max(units - 1, 1))
        @nnx.vmap
        def stacked(rngs):
            return ResidualUnit(filters, width, 1, rngs=rngs, **of_all)

        self.rest = stacked(rngs) if units > 1 else None
        # Execution only: whether the loop over units is written out. Changes no parameter.
        self.unroll = False

    def __call__(self, x):
        x = self.first(x)
        if self.rest is None:
            return x
        graphdef, params, others = nnx.split(self.rest, nnx.Param, ...)

        def one(x, state):
            unit = nnx.merge(graphdef, *state)
            x = unit(x)
            return x, nnx.state(unit, nnx.Not(nnx.Param))

        x, others = jax.lax.scan(one, x, (params, others), unroll=self.unroll)
        nnx.update(self.rest, others)
        return x


class ResNet(nnx.Module):
    """Images (N, H, W, C), normalised -> logits (N, classes), float32; computes in the images' dtype."""

    def __init__(
        self,
        model: ModelConfig,
        order: ActivationOrder,
        shortcut: Shortcut,
        *,
        classes: int,
        image_channels: int,
        rngs: nnx.Rngs,
    ):
        kernel, stride = (3, 1) if model.stem == "cifar" else (7, 2)
        self.pool_stem = model.stem == "imagenet"
        self.stem = Conv(image_channels, model.stem_width, kernel, stride, rngs=rngs)
        # BN and ReLU in every order: under pre-activation they are those of the first unit, which come
        # right after the stem, before the split (Sec. 4.1, "first Residual Unit").
        self.stem_activation = Activation(["bn", "relu"] if model.stem_activation else [], model.stem_width)
        of_all = {"model": model, "order": order, "shortcut": shortcut, "rngs": rngs}
        self.stages = nnx.List()
        channels = model.stem_width
        for i, (units, width) in enumerate(zip(model.units, model.widths, strict=True)):
            first = i == 0 and model.stem_activation
            self.stages.append(Stage(units, channels, width, 1 if i == 0 else 2, first=first, **of_all))
            channels = 4 * width if model.branch == "bottleneck" else width
        # The extra activation after the last addition, under pre-activation (Sec. 4.1).
        self.head_activation = Activation(order.before, channels)
        self.head = nnx.Linear(channels, classes, kernel_init=linear_init, rngs=rngs)

    def __call__(self, images):
        x = self.stem_activation(self.stem(images))
        if self.pool_stem:
            x = nnx.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage in self.stages:
            x = stage(x)
        x = self.head_activation(x).mean((1, 2), jnp.float32)
        return self.head(x)


# The paper does not say how the classifier's weights start; Torch: uniform in +-1 / sqrt(in).
linear_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
