"""The residual network: a stem, stages of residual units, and a linear classifier."""

import jax.numpy as jnp
from flax import nnx

from ablations.networks.activation import ActivationOrder
from ablations.networks.layers import Activation, Conv
from ablations.networks.resnet.config import ModelConfig
from ablations.networks.resnet.unit import ResidualUnit
from ablations.networks.shortcut import Shortcut
from ablations.networks.stack import Stack, run


class Stage(Stack):
    """Residual units of the same width; the first one may change the shape of x."""

    def __init__(self, units: int, channels: int, width: int, stride: int, *, first: bool, rngs: nnx.Rngs, **settings):
        changing = ResidualUnit(channels, width, stride, first=first, rngs=rngs, **settings)
        filters = changing.convolutions[-1].kernel.shape[-1]
        super().__init__(
            units, changing, lambda rngs: ResidualUnit(filters, width, 1, rngs=rngs, **settings), rngs=rngs
        )


class ResNet(nnx.Module):
    """Normalised images (N, H, W, C) -> logits (N, classes), float32; computes in the dtype of the images."""

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
        # BN and ReLU in every order: under pre-activation they are those of the first unit, moved
        # right after the stem, before the split (Sec. 4.1, "first Residual Unit").
        self.stem_activation = Activation(["bn", "relu"] if model.stem_activation else [], model.stem_width)
        settings = {"model": model, "order": order, "shortcut": shortcut, "rngs": rngs}
        self.stages = nnx.List()
        channels = model.stem_width
        for i, (units, width) in enumerate(zip(model.units, model.widths, strict=True)):
            first = i == 0 and model.stem_activation
            self.stages.append(Stage(units, channels, width, 1 if i == 0 else 2, first=first, **settings))
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

    def walk(self, x, visit, arguments=None):
        """Visit all units, one after another: the way to look inside a network; see `Stack.walk`.

        arguments: a list with one entry for each stage. Returns the output of the last unit, and all that was measured
        as such a list.
        """
        seen = []
        for stage, stage_arguments in zip(self.stages, arguments or [None] * len(self.stages), strict=True):
            x, seen_stage = stage.walk(x, visit, stage_arguments)
            seen.append(seen_stage)
        return x, seen

    def classify(self, x):
        """The last unit's output -> logits."""
        return self.head(self.head_activation(x).mean((1, 2), jnp.float32))

    @staticmethod
    def is_convolution(path: tuple) -> bool:
        """Whether the parameter at this path is the kernel of a convolution, not of the classifier."""
        return path[-1] == "kernel" and path[0] != "head"


# The paper does not say how the classifier's weights are initialised; in Torch: uniform in +-1 / sqrt(in).
linear_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
