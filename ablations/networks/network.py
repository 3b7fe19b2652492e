"""A network, built from an architecture: a stem, stages of residual units, and a classifier."""

from flax import nnx

from ablations.networks import architecture as data
from ablations.networks.activation import ActivationOrder
from ablations.networks.architecture import Architecture
from ablations.networks.classifier import AuxiliaryClassifier, Classifier
from ablations.networks.layers import Activation, BatchNorm, Conv
from ablations.networks.rows import Rows
from ablations.networks.shortcut import Shortcut
from ablations.networks.stack import Stack, run
from ablations.networks.unit import ResidualUnit


class Network(Classifier):
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
        channels = data.filters(architecture.exit, channels)
        super().__init__(architecture.head, channels, classes, function=function, init=init, rngs=rngs)
        # The last to be drawn: the others' weights are the same without them.
        self.auxiliary = nnx.List(
            [
                AuxiliaryClassifier(each, architecture.made_by(each.reads), classes, init=init, rngs=rngs, **outside)
                for each in architecture.auxiliary
            ]
        )
        self.set_attributes(BatchNorm, epsilon=architecture.bn_epsilon, raise_if_not_found=False)

    def __call__(self, images):
        return self.classify(self.walk(self.embed(images), run)[0])

    def with_auxiliary(self, images):
        """The logits, and for each auxiliary classifier the weight of its loss and its logits: what training needs."""
        outputs = {}
        x, _ = self.walk(self.embed(images), run, outputs=outputs)
        return self.classify(x), [(each.weight, each(outputs[each.reads])) for each in self.auxiliary]

    def embed(self, images):
        """The input of the first unit."""
        return self.entries[0](self.stem_activation(self.stem(images)))

    def walk(self, x, visit, arguments=None, outputs=None):
        """Visit all units, one after another: the way to look inside a network; see `Stack.walk`.

        x: the input of the first unit. A unit that reads the output of an earlier stage is visited with a pair: that
        output, and its own input. arguments: a list with one entry for each stack. outputs: is filled with the outputs of
        the stages that have a name. Returns the output of the last unit, and all that was measured as such a list.
        """
        seen, outputs = [], {} if outputs is None else outputs
        arguments = arguments or [None] * len(self.stages)
        for i, (stage, stage_arguments) in enumerate(zip(self.stages, arguments, strict=True)):
            x = self.enter(i, x)
            x = (outputs[self.reads[i]], x) if self.reads[i] else x
            x, seen_stage = stage.walk(x, visit, stage_arguments)
            if self.names[i]:
                outputs[self.names[i]] = x
            seen.append(seen_stage)
        return x, seen

    def enter(self, i: int, x):
        """What leads from the output of stack i - 1 to the first unit of stack i; for the first, `embed` does."""
        return self.entries[i](x) if i else x

    def classify(self, x):
        """The last unit's output -> logits."""
        return super().classify(self.exit(self.head_activation(x)))

    @staticmethod
    def is_convolution(path: tuple) -> bool:
        """Whether the parameter at this path is the kernel of a convolution, not of a classifier's linear layer."""
        inner = path[2:] if path[0] == "auxiliary" else path
        return path[-1] == "kernel" and inner[0] not in ("head", "hidden")


def _units(stack: data.Stack, *, rngs: nnx.Rngs, **settings) -> Stack:
    first, *others = stack.units
    return Stack(
        len(stack.units),
        ResidualUnit(first, stack.channels, stack.reads, rngs=rngs, **settings),
        lambda rngs: ResidualUnit(others[0], stack.filters, rngs=rngs, **settings),
        rngs=rngs,
    )
