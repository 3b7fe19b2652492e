"""The random streams of a network are Flax's, and do not look at what was traced before."""

import jax
import numpy as np
from flax import nnx

from ablations.networks.streams import streams


def drawn(rngs):
    """Keys of a stream, of a fork and of parts."""
    keys = [rngs.params(), rngs.dropout.fork()(), rngs.params()]
    parts = nnx.split_rngs(splits=2)(lambda rngs: rngs.params.key[...])(rngs)
    return [np.asarray(jax.random.key_data(key)) for key in (*keys, parts, rngs.params())]


def test_keys_are_those_of_flax_and_no_sharding_is_compared(monkeypatch):
    expected = drawn(nnx.Rngs(params=1, dropout=2))

    def compared(_):
        raise AssertionError("a sharding is compared, which takes as long as all that was traced before")

    monkeypatch.setattr(jax.core.Tracer, "sharding", property(compared))
    keys = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    np.testing.assert_equal(drawn(streams(**keys)), expected)

    def traced(keys):
        rngs = streams(**keys)
        return [rngs.params(), rngs.dropout.fork()(), rngs.params()]

    made = jax.jit(traced)(keys)
    np.testing.assert_equal([np.asarray(jax.random.key_data(key)) for key in made], expected[:3])
