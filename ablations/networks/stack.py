"""Units one after another: those that are alike are stacked along a leading axis and run by one `lax.scan`.

So the time to compile does not grow with depth. The first unit may differ from the others. In the path of a leaf of a
state they are called "first" and "rest", which only this module knows.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ablations.networks.kernels import memory, placement, remat

# On a GPU a loop costs a kernel for each array that a unit keeps or reads, so stacks of up to so many units are written
# out. In longer ones it would take too long to compile.
WRITTEN_OUT_UP_TO = 32

FIRST, STACKED = "first", "rest"


def compiler_options(platform: str) -> dict[str, str | bool]:
    """Lets a TPU write several of the arrays that a unit keeps with one kernel. libtpu does not document it."""
    return {"xla_jf_enable_advanced_multi_output_fusion": True} if platform == "tpu" else {}


@runtime_checkable
class Residual(Protocol):
    """A unit whose output is what follows an addition, applied to a sum."""

    activates_sum: bool
    sum: Callable
    after_addition: Callable


class Stack(nnx.Module):
    """The first unit, which may change the shape of x, and the others, which are alike.

    first: the first unit. build: makes one of the other units from random streams.
    """

    def __init__(self, units: int, first: nnx.Module, build: Callable[[nnx.Rngs], nnx.Module], *, rngs: nnx.Rngs):
        self.first = first
        stacked = nnx.split_rngs(splits=max(units - 1, 1))(nnx.vmap(build))
        self.rest = stacked(rngs) if units > 1 else None
        # How it is executed, see `Config`. Changes no parameter.
        self.unroll: bool | int | str = "auto"
        self.remat = False

    def __call__(self, x):
        return self.walk(x, run)[0]

    def walk(self, x, visit, arguments=None):
        """Visit all units, one after another.

        visit: (unit, x, the unit's argument) -> (the unit's output, anything measured). It is traced once for each
            shape, not once for each unit.
        arguments: a tree with a leading axis over the units.

        Returns the output of the last unit, and all that was measured with a leading axis over the units.
        """
        first_argument, other_arguments = (
            jax.tree.map(lambda leaf, i=i: leaf[i], arguments) for i in (0, slice(1, None))
        )
        if self.rest is None:
            x, seen_first = self._alone(x, visit, first_argument)
            return x, jax.tree.map(lambda leaf: leaf[None], seen_first)
        first, last = self.first, None
        if visit is run and placement.on_tpu() and isinstance(first, Residual) and first.activates_sum:
            # In the loop, what follows an addition begins the next unit.
            x, seen_first, visit, last = first.sum(x), None, _run_late, first.after_addition
        else:
            x, seen_first = visit(first, x, first_argument)
        graphdef, params, others = nnx.split(self.rest, nnx.Param, ...)
        step = _step(graphdef, visit)
        scan = remat.scan if self.remat else jax.lax.scan
        x, (others, seen_rest) = scan(
            remat.units(step),
            x,
            (params, others, other_arguments),
            unroll=self._written_out(len(jax.tree.leaves(params)[0])),
        )
        nnx.update(self.rest, others)
        x = last(x) if last else x
        return x, jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), seen_first, seen_rest)

    def _alone(self, x, visit, argument):
        """Visit the only unit. It keeps less if asked: a network in which no two units are alike is made of such."""
        if placement.platform() == "cpu":  # which would compute the gradients of all later units again in each
            x = jax.tree.map(memory.gradient_written, x)
        if not self.remat:
            return visit(self.first, x, argument)
        graphdef, params, others = nnx.split(self.first, nnx.Param, ...)
        x, (others, seen) = remat.units(_step(graphdef, visit))(x, (params, others, argument))
        nnx.update(self.first, others)
        return x, seen

    def _written_out(self, units: int) -> bool | int:
        """How many of these units are written out in each round of the loop; True for all, False for one."""
        if self.unroll != "auto":
            return self.unroll  # pyright: ignore[reportReturnType]  # "auto" is the only word, as `Config` checks
        return placement.on_gpu() and units <= WRITTEN_OUT_UP_TO


def _step(graphdef, visit):
    """The visit of a unit as a function of arrays: (x, (its state, its argument)) -> x, (what changed of it, measured)."""

    def step(x, inputs):
        *state, argument = inputs
        unit = nnx.merge(graphdef, *state)
        x, seen = visit(unit, x, argument)
        return x, (nnx.state(unit, nnx.Not(nnx.Param)), seen)

    return step


def run(unit, x, _):
    """The visit of a plain forward pass; see `Stack.walk`."""
    return unit(x), None


def _run_late(unit, x, _):
    """As `run`, from a sum to a sum. On a TPU, the convolution that ends the backward pass of a unit then masks its result,
    where `run` has a pass of its own over the map."""
    return unit.sum(unit.after_addition(x)), None


def is_stacked(path: tuple) -> bool:
    """Whether the leaf at this path of a state has a leading axis over units."""
    position = _position(path)
    return position is not None and path[position] == STACKED


def units(path: tuple, leaf):
    """A leaf of a state with a leading axis over units, of length 1 for a first unit and outside of stacks."""
    return leaf if is_stacked(path) else leaf[None]


def unit_paths(path: tuple, shape: tuple[int, ...]) -> list[tuple]:
    """The path of each of `units`, with ("units", i) in place of "first" or "rest"; i counts a stack's units from 0.

    shape: that of the leaf at `path` of a state. Outside of stacks, the path stays as it is.
    """
    if (position := _position(path)) is None:
        return [path]
    numbers = range(1, 1 + shape[0]) if is_stacked(path) else [0]
    return [(*path[:position], "units", number, *path[position + 1 :]) for number in numbers]


def joined(path: tuple, leaves: Sequence[np.ndarray]) -> np.ndarray:
    """The leaf at this path of a state, from the leaves of its units."""
    return np.stack(leaves) if is_stacked(path) else leaves[0]


def reordered(state: nnx.State, orders: Sequence) -> nnx.State:
    """A state with the stacked units of each stack in another order.

    orders: for stack i in a state's paths, which of its stacked units comes in each position.
    """

    def moved(path: tuple, leaf):
        position = _position(path)
        return leaf if position is None or path[position] != STACKED else leaf[orders[path[position - 1]]]

    return nnx.from_flat_state([(path, moved(path, leaf)) for path, leaf in nnx.to_flat_state(state)])


def _position(path: tuple) -> int | None:
    """The index of a stack's "first" or "rest" in a path, None outside of stacks. A unit may have a deeper "first"."""
    return next((i for i, name in enumerate(path) if name in (FIRST, STACKED)), None)
