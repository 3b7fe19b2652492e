"""The random streams that a network is built with, and that its dropout draws from."""

import jax
from flax import nnx


class Stream(nnx.RngStream):
    """The keys of Flax's stream, to the bit, counted without `count[...] += 1`.

    There Flax compares two shardings, for which JAX looks through all that was traced so far: to build a network, or to
    trace its dropout, would take the square of its layers.
    """

    def __call__(self) -> jax.Array:
        key = jax.random.fold_in(self.key[...], self.count[...])
        self.count.set_value(self.count[...] + 1)
        return key


def streams(**keys: jax.Array) -> nnx.Rngs:
    """A stream for each key, by their names."""
    rngs = nnx.Rngs(**keys)
    for name, stream in rngs.items():
        setattr(rngs, name, Stream(stream.key[...], tag=stream.tag))
    return rngs
