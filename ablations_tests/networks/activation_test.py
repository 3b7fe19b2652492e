import re

import jax
import numpy as np
import pytest
from flax import nnx

from ablations.networks.activation import ORDERS, ActivationOrder
from ablations.networks.architecture import Layer, Unit
from ablations.networks.shortcut import Identity
from ablations.networks.unit import ResidualUnit
from ablations_tests import reference

# Table 2 and Fig. 4: W is a weight layer, | add | the addition of the shortcut.
PAPER = {
    "original": "W BN ReLU W BN | add | ReLU",
    "bn_after_addition": "W BN ReLU W | add | BN ReLU",
    "relu_before_addition": "W BN ReLU W BN ReLU | add |",
    "relu_only_preactivation": "ReLU W BN ReLU W BN | add |",
    "full_preactivation": "BN ReLU W BN ReLU W | add |",
}


def run_as_written(text, unit, x):
    """Execute the words of the paper with the weights of a unit."""
    convolutions = iter(unit.convolutions)
    norms = iter([place.bn for place in (unit.before, *unit.activations, unit.after_addition) if place.bn is not None])
    branch = y = x.astype(np.float64)
    for word in re.findall(r"\w+", text):
        if word == "W":
            y = reference.conv(y, np.asarray(next(convolutions).kernel[...]))
        elif word == "BN":
            bn = next(norms)
            y = reference.batch_norm(y, np.asarray(bn.scale[...]), np.asarray(bn.shift[...]))
        elif word == "ReLU":
            y = reference.relu(y)
        else:
            y = branch + y
    assert next(norms, None) is None and next(convolutions, None) is None
    return y


@pytest.mark.parametrize("name", PAPER)
def test_a_unit_does_what_the_paper_writes(name):
    unit = ResidualUnit(
        Unit((Layer(8), Layer(8))), 8, order=ORDERS[name], shortcut=Identity(), init="he_fan_out", rngs=nnx.Rngs(0)
    )
    rng = np.random.default_rng(0)
    for path, leaf in nnx.to_flat_state(nnx.state(unit, nnx.Param)):
        if path[-1] in ("scale", "shift"):  # at 1 and 0 a BN in the wrong place could go unseen
            leaf[...] = jax.numpy.asarray(rng.normal(size=leaf.shape), jax.numpy.float32)
    x = rng.normal(size=(4, 6, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(unit(x), run_as_written(PAPER[name], unit, x), atol=2e-4)


def test_the_five_orders_have_the_words_of_the_paper():
    assert list(ORDERS)[:5] == list(PAPER)


def test_an_unknown_place_is_named():
    with pytest.raises(ValueError, match="'gelu' is unknown; legal are bn, relu"):
        ActivationOrder("mine", ["gelu"], [], [], [])
