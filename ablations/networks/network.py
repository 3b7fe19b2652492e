"""A network, built from an architecture: a stem, stages of residual units, and a linear classifier."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ablations.networks import architecture as data
from ablations.networks.activation import ActivationOrder
from ablations.networks.architecture import Architecture, Head
from ablations.networks.layers import FUNCTIONS, INITS, Activation, BatchNorm, Conv, DropoutLayer
from ablations.networks.rows import Rows
from ablations.networks.shortcut import Shortcut
from ablations.networks.stack import Stack, run
from ablations.networks.unit import ResidualUnit


class Network(nnx.Module):
    """Normalised images (N, H, W, C) -> logits (N, classes), or (N, H', W', classes) if it classifies pixels.

    Logits are float32; all else is computed in the dtype of the images. In an activation order with BN, BN and the
    activation function also follow the convolutions outside of units, in every order alike; in one without BN, the
    function alone.

    stages: the stacks of units, `Architecture.stacks`; entries: what leads to each.
    """

    def __init__(
        self,
        architecture: Architecture,
        order: ActivationOrder,
        shortcut: Shortcut,
        *,
        classes: int,
        image_channels: int,
        rngs: nnx.Rngs,
    ):
        # For each stack, the stage whose output its first unit reads in place of x, and its own name; "" for none.
        self.reads = tuple(stack.units[0].reads for stack in architecture.stacks)
        self.names = tuple(stack.stage for stack in architecture.stacks)
        stem, function, init = architecture.stem, architecture.function, architecture.init
        outside = {"between": order.outside, "after": order.outside, "activate": order.outside, "function": function}
        settings = {"groups": stem.groups, "pad": stem.pad, "bias": stem.bias, "init": init}
        self.stem = Conv(image_channels, stem.filters, stem.kernel, stem.stride, rngs=rngs, **settings)
        # BN and ReLU in every order: under pre-activation they are those of the first unit, moved
        # right after the stem, before the split (Sec. 4.1, "first Residual Unit").
        self.stem_activation = Activation(order.outside if stem.activated else [], stem.filters, function)
        self.entries, self.stages = nnx.List([]), nnx.List([])
        channels, units = stem.filters, sum(len(stack.units) for stack in architecture.stacks)
        for stack in architecture.stacks:
            self.entries.append(Rows(stack.entry, channels, init=init, rngs=rngs, **outside))
            self.stages.append(_units(stack, order=order, shortcut=shortcut, init=init, units=units, rngs=rngs))
            channels = stack.filters
        # The extra activation after the last addition, under pre-activation (Sec. 4.1).
        last = order.before if architecture.last_activation else []
        self.head_activation = Activation(last, channels, function)
        self.exit = Rows(architecture.exit, channels, init=init, rngs=rngs, **outside)
        head, self.function = architecture.head, function
        self.cells, self.pixels = head.cells, head.pixels
        channels = data.filters(architecture.exit, channels) * (1 if head.pixels else head.cells**2)
        sizes = (channels, *head.hidden, classes)
        linear = INITS[init] if init == "glorot_uniform" else linear_init
        *hidden, self.head = [
            nnx.Linear(*size, kernel_init=linear, rngs=rngs) for size in zip(sizes, sizes[1:], strict=False)
        ]
        self.hidden = nnx.List(hidden)
        self.dropouts = nnx.List(
            [DropoutLayer(rate, inverted=True, rngs=rngs) if rate else None for rate in _dropouts(head)]
        )
        self.set_attributes(BatchNorm, epsilon=architecture.bn_epsilon, raise_if_not_found=False)

    def __call__(self, images):
        return self.classify(self.walk(self.embed(images), run)[0])

    def embed(self, images):
        """The input of the first unit."""
        return self.entries[0](self.stem_activation(self.stem(images)))

    def walk(self, x, visit, arguments=None):
        """Visit all units, one after another: the way to look inside a network; see `Stack.walk`.

        x: the input of the first unit. A unit that reads the output of an earlier stage is visited with a pair: that
        output, and its own input. arguments: a list with one entry for each stack. Returns the output of the last unit,
        and all that was measured as such a list.
        """
        seen, outputs = [], {}
        arguments = arguments or [None] * len(self.stages)
        for i, (stage, stage_arguments) in enumerate(zip(self.stages, arguments, strict=True)):
            x = self.enter(i, x)
            x = (outputs[self.reads[i]], x) if self.reads[i] else x
            x, seen_stage = stage.walk(x, visit, stage_arguments)
            if self.names[i] in self.reads:
                outputs[self.names[i]] = x
            seen.append(seen_stage)
        return x, seen

    def enter(self, i: int, x):
        """What leads from the output of stack i - 1 to the first unit of stack i; for the first, `embed` does."""
        return self.entries[i](x) if i else x

    def classify(self, x):
        """The last unit's output -> logits."""
        x = self.exit(self.head_activation(x))
        x = x.astype(jnp.float32) if self.pixels else mean_of_cells(x, self.cells)
        for dropout, layer in zip(self.dropouts, (*self.hidden, None), strict=True):
            x = x if dropout is None else dropout(x)
            x = x if layer is None else FUNCTIONS[self.function](layer(x))
        return self.head(x)

    @staticmethod
    def is_convolution(path: tuple) -> bool:
        """Whether the parameter at this path is the kernel of a convolution, not of a classifier's linear layer."""
        return path[-1] == "kernel" and path[0] not in ("head", "hidden")


def _units(stack: data.Stack, *, rngs: nnx.Rngs, **settings) -> Stack:
    first, *others = stack.units
    return Stack(
        len(stack.units),
        ResidualUnit(first, stack.channels, stack.reads, rngs=rngs, **settings),
        lambda rngs: ResidualUnit(others[0], stack.filters, rngs=rngs, **settings),
        rngs=rngs,
    )


def _dropouts(head: Head) -> tuple[float, ...]:
    """The rate before each linear layer."""
    return (*head.dropouts, *[0.0] * (len(head.hidden) + 1 - len(head.dropouts)))


def mean_of_cells(x, cells: int):
    """The mean over each of cells x cells parts of a map: (N, H, W, C) -> (N, cells cells C), float32.

    The parts overlap if a side is not divisible by their number, as those of PyTorch's adaptive average pooling do.
    """
    if cells == 1:
        return x.mean((1, 2), jnp.float32)
    x = x.astype(jnp.float32)
    if x.shape[1:3] != (cells, cells):
        rows, columns = (jnp.asarray(_shares(side, cells)) for side in x.shape[1:3])
        x = jnp.einsum("nhwc,ah,bw->nabc", x, rows, columns)
    return x.reshape(len(x), -1)


def _shares(side: int, cells: int) -> np.ndarray:
    """The weight of each of `side` numbers in each of the means; (cells, side)."""
    starts = np.arange(cells) * side // cells
    ends = -(-(np.arange(cells) + 1) * side // cells)
    inside = (np.arange(side) >= starts[:, None]) & (np.arange(side) < ends[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


# The paper does not say how the classifier's weights are initialised; in Torch: uniform in +-1 / sqrt(in).
linear_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
