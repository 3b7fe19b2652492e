"""A stack of units is the units one after another, whatever runs them, and its leaves are found by unit."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.networks import stack
from ablations.networks.stack import Stack


class Unit(nnx.Module):
    """x -> tanh(w x), which counts its calls."""

    def __init__(self, rngs):
        self.weight = nnx.Param(rngs.params.normal((3, 3)))
        self.calls = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, x):
        self.calls[...] += 1
        return jnp.tanh(x @ self.weight[...])


class Whole(nnx.Module):
    """A network of one stack, as a network of several has it."""

    def __init__(self, units):
        rngs = nnx.Rngs(0)
        self.stages = nnx.List([Stack(units, Unit(rngs), Unit, rngs=rngs)])


def weights(network):
    """Of each unit in turn."""
    leaves = nnx.to_flat_state(nnx.as_pure(nnx.state(network, nnx.Param)))
    return [unit for path, leaf in leaves for unit in np.asarray(stack.units(path, leaf))]


@pytest.mark.parametrize("execution", [{}, {"unroll": True}, {"remat": True}])
@pytest.mark.parametrize("units", [1, 2, 6])
def test_a_stack_is_its_units_one_after_another(units, execution):
    network, x = Whole(units), jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    network.set_attributes(**execution)
    y = np.asarray(x)
    inputs = []
    for weight in weights(network):
        inputs.append(y.mean())
        y = np.tanh(y @ weight)
    out, seen = network.stages[0].walk(
        x, lambda unit, x, given: (unit(x), {"mean": x.mean() + given}), jnp.arange(units)
    )
    np.testing.assert_allclose(out, y, atol=1e-6)
    np.testing.assert_allclose(seen["mean"], np.array(inputs) + np.arange(units), atol=1e-6)
    calls = nnx.to_flat_state(nnx.as_pure(nnx.state(network, nnx.BatchStat)))
    assert np.concatenate([stack.units(path, leaf) for path, leaf in calls]).tolist() == [1] * units


def test_each_unit_has_a_path_of_its_own():
    path = ("stages", 2, "rest", "shortcut", "gate", "first", "kernel")
    assert stack.unit_paths(path, (2, 3)) == [("stages", 2, "units", i, *path[3:]) for i in (1, 2)]
    first = ("stages", 2, "first", *path[3:])
    assert stack.unit_paths(first, (3,)) == [("stages", 2, "units", 0, *path[3:])]
    assert stack.unit_paths(("stem", "kernel"), (3,)) == [("stem", "kernel")]
    leaf = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(stack.joined(path, list(stack.units(path, leaf))), leaf)
    np.testing.assert_array_equal(stack.joined(first, list(stack.units(first, leaf[0]))), leaf[0])
    assert [stack.is_stacked(one) for one in (path, first, ("stem", "kernel"))] == [True, False, False]


def test_stacked_units_change_places_and_the_first_stays():
    state = nnx.as_pure(nnx.state(Whole(4), nnx.Param))
    before, after = (dict(nnx.to_flat_state(part)) for part in (state, stack.reordered(state, [np.array([2, 0, 1])])))
    path = ("stages", 0, "rest", "weight")
    np.testing.assert_array_equal(after[path], before[path][np.array([2, 0, 1])])
    first = ("stages", 0, "first", "weight")
    np.testing.assert_array_equal(after[first], before[first])
