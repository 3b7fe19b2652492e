"""The families of networks: each is a folder with the schema of its settings and the network that they make.

This module imports JAX only when a network is made.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ablations.networks.activation import ActivationOrder
from ablations.networks.resnet.config import ModelConfig
from ablations.networks.shortcut import Shortcut

if TYPE_CHECKING:
    import jax
    from flax import nnx


class Network(Protocol):
    """What training and analysis need of a network of any family, besides what flax provides; images: (N, H, W, C),
    normalised.
    """

    @property
    def stages(self) -> Iterable[Any]: ...

    def __call__(self, images: "jax.Array") -> "jax.Array":
        """Logits, (N, classes) float32."""
        ...

    def is_convolution(self, path: tuple) -> bool:
        """Whether the parameter at this path is a convolution's kernel: recipe.weight_decay_on=convolutions."""
        ...

    # Code that looks inside a network walks through its units; see `ResNet`.

    def embed(self, images) -> Any: ...

    def walk(self, x, visit, arguments=None) -> Any: ...

    def classify(self, x) -> Any: ...

    # Methods of every flax module.

    def train(self, **attributes) -> None: ...

    def eval(self, **attributes) -> None: ...

    def set_attributes(self, *filters, raise_if_not_found: bool = True, **attributes) -> None: ...


def network(
    model: ModelConfig,
    order: ActivationOrder,
    shortcut: Shortcut,
    *,
    classes: int,
    image_channels: int,
    rngs: "nnx.Rngs",
) -> Network:
    """The network of a model's family, with weights drawn from `rngs`."""
    from ablations.networks.resnet.network import ResNet

    return ResNet(model, order, shortcut, classes=classes, image_channels=image_channels, rngs=rngs)
