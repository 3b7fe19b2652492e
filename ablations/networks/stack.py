"""Units one after another, of which those that are alike are stacked on a leading axis and run by one `lax.scan`.

So time to compile does not grow with depth. The first unit may differ from the others. In the path of a leaf of a state
they are "first" and "rest", and that is known here only.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ablations.networks.kernels import remat

FIRST, STACKED = "first", "rest"


class Stack(nnx.Module):
    """The first unit, which may change the shape of x, and the others, which are alike.

    first: the first unit; build: makes one of the others from random streams.
    """

    def __init__(self, units: int, first: nnx.Module, build: Callable[[nnx.Rngs], nnx.Module], *, rngs: nnx.Rngs):
        self.first = first
        stacked = nnx.split_rngs(splits=max(units - 1, 1))(nnx.vmap(build))
        self.rest = stacked(rngs) if units > 1 else None
        # Execution only: whether the loop over units is written out, and whether it keeps less. Changes no parameter.
        self.unroll = self.remat = False

    def __call__(self, x):
        return self.walk(x, run)[0]

    def walk(self, x, visit, given=None):
        """Through all units, with something done at each.

        visit: (unit, x, what is given to this unit) -> (the unit's output, what was seen). It is traced once a shape, not
            once a unit.
        given: a tree with a leading axis over the units.

        Returns the last unit's output, and what was seen with a leading axis over the units.
        """
        given_first, given_rest = (jax.tree.map(lambda leaf, i=i: leaf[i], given) for i in (0, slice(1, None)))
        x, seen_first = visit(self.first, x, given_first)
        if self.rest is None:
            return x, jax.tree.map(lambda leaf: leaf[None], seen_first)
        graphdef, params, others = nnx.split(self.rest, nnx.Param, ...)

        def step(x, inputs):
            *state, given_unit = inputs
            unit = nnx.merge(graphdef, *state)
            x, seen = visit(unit, x, given_unit)
            return x, (nnx.state(unit, nnx.Not(nnx.Param)), seen)

        scan = remat.scan if self.remat else jax.lax.scan
        x, (others, seen_rest) = scan(remat.units(step), x, (params, others, given_rest), unroll=self.unroll)
        nnx.update(self.rest, others)
        return x, jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), seen_first, seen_rest)


def run(unit, x, _):
    """The visit of a plain forward pass; see `Stack.walk`."""
    return unit(x), None


def is_stacked(path: tuple) -> bool:
    """Whether the leaf at this path of a state has a leading axis over units."""
    position = _position(path)
    return position is not None and path[position] == STACKED


def units(path: tuple, leaf):
    """A leaf of a state with a leading axis over units; outside of stacks, and of a first unit, of length 1."""
    return leaf if is_stacked(path) else leaf[None]


def unit_paths(path: tuple, shape: tuple[int, ...]) -> list[tuple]:
    """The path of each of `units`, with "units", i in the place of "first" or "rest", where i counts a stack's units from 0.

    shape: of the leaf at `path` of a state. Outside of stacks, the path as it is.
    """
    if (position := _position(path)) is None:
        return [path]
    numbers = range(1, 1 + shape[0]) if is_stacked(path) else [0]
    return [(*path[:position], "units", number, *path[position + 1 :]) for number in numbers]


def joined(path: tuple, leaves: Sequence[np.ndarray]) -> np.ndarray:
    """The leaf at this path of a state, from those of its units."""
    return np.stack(leaves) if is_stacked(path) else leaves[0]


def reordered(state: nnx.State, orders: Sequence) -> nnx.State:
    """A state with the stacked units of each stack in another order.

    orders: of the stack with number i in a state's paths, which of its stacked units comes in each position.
    """

    def moved(path: tuple, leaf):
        position = _position(path)
        return leaf if position is None or path[position] != STACKED else leaf[orders[path[position - 1]]]

    return nnx.from_flat_state([(path, moved(path, leaf)) for path, leaf in nnx.to_flat_state(state)])


def _position(path: tuple) -> int | None:
    """Where in a path a stack's "first" or "rest" is; None outside of stacks. A unit may have a "first" too, further in."""
    return next((i for i, name in enumerate(path) if name in (FIRST, STACKED)), None)
