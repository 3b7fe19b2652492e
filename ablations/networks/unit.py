"""The residual unit: x' = f(h(x) + F(x)); Eqns. 1 and 2, Figs. 1, 2 and 4."""

import jax.numpy as jnp
from flax import nnx

from ablations.networks.activation import NO_ACTIVATIONS, ActivationOrder
from ablations.networks.architecture import Unit, filters, stride
from ablations.networks.layers import Activation
from ablations.networks.rows import Rows
from ablations.networks.shortcut import Identity, NoShortcut, Shortcut
from ablations.networks.skip import Skip


class ResidualUnit(Rows):
    """One residual unit, (N, H, W, channels) -> (N, H', W', filters).

    channels: of x. read: those that the shortcut reads, if it reads the output of an earlier stage; x is then a pair of
    that output and the unit's input. units: how many the network has.
    """

    def __init__(
        self,
        unit: Unit,
        channels: int,
        read: int | None = None,
        *,
        order: ActivationOrder,
        shortcut: Shortcut,
        init: str,
        rngs: nnx.Rngs,
        units: int = 1,
    ):
        order = order if unit.activated else NO_ACTIVATIONS
        self.before = Activation(order.before if unit.before else [], channels, unit.function)
        outside = order.outside
        super().__init__(
            unit.branch,
            channels,
            between=order.between,
            after=order.after,
            activate=outside,
            function=unit.function,
            init=init,
            rngs=rngs,
        )
        made, total = filters(unit.branch, channels), unit.filters(channels, read)
        carried = channels if read is None else read
        shape = (carried, total, 1 if unit.reads else int(stride(unit.branch)))
        self.changes = unit.changes(channels)
        self.long, self.concatenates, self.zeros = bool(unit.reads), unit.join == "concatenate", total - made
        if unit.stands == "never" or (unit.stands == "equal" and self.changes):
            shortcut = NoShortcut()
        elif self.changes and not shortcut.at_dimension_change:
            shortcut = Identity()
        factors = shortcut.branch_start(len(self.convolutions), units) if self.ends_in_layer else None
        if factors is not None:
            for convolution, factor in zip(self.convolutions, factors, strict=True):
                convolution.kernel[...] *= factor
        self.shortcut = Skip(shortcut, shape, unit.match, bn="bn" in order.after, init=init, rngs=rngs)
        self.shortcut_reads_activated = self.changes and unit.reads_activated
        self.after_addition = Activation(order.after_addition, total, unit.function)

    def residual(self, x):
        """F without its first activation."""
        return super().__call__(x)

    def branches(self, x):
        """The input of the shortcut, and F(x); of a concatenation [0, F(x)], to which [x, 0] is added."""
        carried, x = x if self.long else (x, x)
        activated = self.before(x)
        fx = self.residual(activated)
        if self.long:  # of a network without padding, whose maps shrink
            carried = middle(carried, *fx.shape[1:3])
        if self.zeros:
            fx = jnp.pad(fx, ((0, 0), (0, 0), (0, 0), (self.zeros, 0)))
        return (activated if self.shortcut_reads_activated else carried), fx

    @property
    def activates_sum(self) -> bool:
        """Whether something without parameters follows the addition, which is then the same in all units of a stack."""
        return bool(self.after_addition.sequence) and self.after_addition.bn is None

    def sum(self, x):
        """h(x) + F(x)."""
        return self.shortcut(*self.branches(x))

    def __call__(self, x):
        return self.after_addition(self.sum(x))


def middle(x, height: int, width: int):
    """The middle of maps (N, H, W, ...), of this size."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]
