"""The residual network: a stem, stages of residual units, and a linear classifier.

The units of a stage that are alike are stacked on a leading axis and run by one `lax.scan`, so that
time to compile does not grow with depth.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from ablations.networks.activation import ActivationOrder
from ablations.networks.kernels import remat
from ablations.networks.layers import Activation, Conv
from ablations.networks.resnet.config import ModelConfig
from ablations.networks.resnet.unit import ResidualUnit
from ablations.networks.shortcut import Shortcut


def run(unit, x, _):
    """The visit of a plain forward pass; see `ResNet.walk`."""
    return unit(x), None


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
        # Execution only: whether the loop over units is written out, and whether it keeps less. Changes no parameter.
        self.unroll = self.remat = False

    def __call__(self, x):
        return self.walk(x, run)[0]

    def walk(self, x, visit, given=None):
        """See `ResNet.walk`; given: a tree with a leading axis over the units."""
        of_first, of_rest = (jax.tree.map(lambda leaf, i=i: leaf[i], given) for i in (0, slice(1, None)))
        x, seen_first = visit(self.first, x, of_first)
        if self.rest is None:
            return x, jax.tree.map(lambda leaf: leaf[None], seen_first)
        graphdef, params, others = nnx.split(self.rest, nnx.Param, ...)

        def one(x, of_one):
            *state, of_one = of_one
            unit = nnx.merge(graphdef, *state)
            x, seen = visit(unit, x, of_one)
            return x, (nnx.state(unit, nnx.Not(nnx.Param)), seen)

        scan = remat.scan if self.remat else jax.lax.scan
        x, (others, seen_rest) = scan(remat.units(one), x, (params, others, of_rest), unroll=self.unroll)
        nnx.update(self.rest, others)
        return x, jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), seen_first, seen_rest)


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
        return self.classify(self.walk(self.embed(images), run)[0])

    def embed(self, images):
        """The input of the first unit."""
        x = self.stem_activation(self.stem(images))
        if not self.pool_stem:
            return x
        padding = (1, 1), (1, 1)
        return nnx.max_pool(x, (3, 3), (2, 2), padding)  # pyright: ignore[reportArgumentType]  # flax's type is too narrow

    def walk(self, x, visit, given=None):
        """Through all units, with something done at each: the seam of what looks into a network.

        visit: (unit, x, what is given to this unit) -> (the unit's output, what was seen). It is traced
            once a shape, not once a unit.
        given: a list with an entry a stage, each a tree with a leading axis over the stage's units.

        Returns the last unit's output and, a stage each, what was seen with a leading axis over the units.
        """
        seen = []
        for stage, of_stage in zip(self.stages, given or [None] * len(self.stages), strict=True):
            x, of_units = stage.walk(x, visit, of_stage)
            seen.append(of_units)
        return x, seen

    def classify(self, x):
        """The last unit's output -> logits."""
        return self.head(self.head_activation(x).mean((1, 2), jnp.float32))


# The paper does not say how the classifier's weights start; Torch: uniform in +-1 / sqrt(in).
linear_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
