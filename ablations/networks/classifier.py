"""From maps to logits: the network's own classifier, and auxiliary ones that help to train it."""

import jax.numpy as jnp
from flax import nnx

from ablations.networks.architecture import Auxiliary, Head, filters
from ablations.networks.layers import FUNCTIONS, INITS, DropoutLayer
from ablations.networks.pooling import cells
from ablations.networks.rows import Rows

# The paper does not say how the classifier's weights are initialised; in Torch: uniform in +-1 / sqrt(in).
linear_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Classifier(nnx.Module):
    """Means over the cells of a map, and linear layers: (N, H, W, channels) -> logits (N, classes), float32.

    Of pixels, (N, H, W, classes).
    """

    def __init__(self, head: Head, channels: int, classes: int, *, function: str, init: str, rngs: nnx.Rngs):
        self.cells, self.pixels, self.function = head.cells, head.pixels, function
        sizes = (channels * (1 if head.pixels else head.cells**2), *head.hidden, classes)
        linear = INITS[init] if init == "glorot_uniform" else linear_init
        *hidden, self.head = [
            nnx.Linear(*size, kernel_init=linear, rngs=rngs) for size in zip(sizes, sizes[1:], strict=False)
        ]
        self.hidden = nnx.List(hidden)
        self.dropouts = nnx.List(
            [DropoutLayer(rate, inverted=True, rngs=rngs) if rate else None for rate in _dropouts(head)]
        )

    def classify(self, x):
        x = x.astype(jnp.float32) if self.pixels else cells(x, self.cells).reshape(len(x), -1)
        for dropout, layer in zip(self.dropouts, (*self.hidden, None), strict=True):
            x = x if dropout is None else dropout(x)
            x = x if layer is None else FUNCTIONS[self.function](layer(x))
        return self.head(x)


class AuxiliaryClassifier(Classifier):
    """Rows, then a classifier; weight: of its loss beside the network's. reads: the stage whose output it sees."""

    def __init__(self, auxiliary: Auxiliary, channels: int, classes: int, *, init: str, rngs: nnx.Rngs, **outside):
        self.reads, self.weight = auxiliary.reads, auxiliary.weight
        self.rows = Rows(auxiliary.rows, channels, init=init, rngs=rngs, **outside)
        made, function = filters(auxiliary.rows, channels), outside["function"]
        super().__init__(auxiliary.head, made, classes, function=function, init=init, rngs=rngs)

    def __call__(self, x):
        return self.classify(self.rows(x))


def _dropouts(head: Head) -> tuple[float, ...]:
    """The rate before each linear layer."""
    return (*head.dropouts, *[0.0] * (len(head.hidden) + 1 - len(head.dropouts)))
