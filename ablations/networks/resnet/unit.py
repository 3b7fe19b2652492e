"""The residual unit: x' = f(h(x) + F(x)); Eqns. 1 and 2, Figs. 1, 2 and 4."""

from flax import nnx

from ablations.networks.activation import ActivationOrder
from ablations.networks.layers import Activation, Conv
from ablations.networks.resnet.config import ModelConfig
from ablations.networks.shortcut import Identity, Shortcut
from ablations.networks.skip import Match, Skip


class ResidualUnit(nnx.Module):
    """One residual unit, (N, H, W, channels) -> (N, ceil(H / stride), ceil(W / stride), filters)."""

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        *,
        model: ModelConfig,
        order: ActivationOrder,
        shortcut: Shortcut,
        first: bool = False,
        rngs: nnx.Rngs,
    ):
        """width: the channels of F's 3x3 convolutions. first: whether the activation before F was already applied."""
        convolutions = plan(model, channels, width, stride)
        filters = convolutions[-1][1]
        changes = (channels, stride) != (filters, 1)
        self.before = Activation([] if first else order.before, channels)
        self.convolutions = nnx.List([Conv(*convolution, rngs=rngs) for convolution in convolutions])
        self.activations = nnx.List(
            [Activation(order.between, conv[1]) for conv in convolutions[:-1]] + [Activation(order.after, filters)]
        )
        if changes and not shortcut.at_dimension_change:
            shortcut = Identity()
        projects = model.dimension_change == "projection"
        match = Match(model.projection_kernel if projects else None, "bn" in order.after, model.padding)
        self.shortcut = Skip(shortcut, (channels, filters, stride), match, rngs=rngs)
        reads_activated = model.projection_reads_activated if projects else model.zero_padding_reads_activated
        self.shortcut_reads_activated = changes and reads_activated
        self.after_addition = Activation(order.after_addition, filters)

    def residual(self, x):
        """F without its first activation."""
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            x = activation(convolution(x))
        return x

    def branches(self, x):
        """The input of the shortcut, and F(x)."""
        activated = self.before(x)
        return (activated if self.shortcut_reads_activated else x), self.residual(activated)

    def __call__(self, x):
        return self.after_addition(self.shortcut(*self.branches(x)))


def plan(model: ModelConfig, channels: int, width: int, stride: int) -> list[tuple[int, int, int, int]]:
    """The convolutions of F, each as (channels, filters, kernel, stride)."""
    if model.branch == "one_layer":
        return [(channels, width, 3, stride)]
    if model.branch == "basic":
        return [(channels, width, 3, stride), (width, width, 3, 1)]
    on_first, on_3x3 = (stride, 1) if model.bottleneck_stride == "first_1x1" else (1, stride)
    return [(channels, width, 1, on_first), (width, width, 3, on_3x3), (width, 4 * width, 1, 1)]
