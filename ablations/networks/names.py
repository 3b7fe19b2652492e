"""The layers of a network by their names in a weights file, in the order of the computation.

Other programs' files have the same layers in this order under other names: PyTorch writes them as its modules were made.
In a unit the shortcut's projection comes last, and the branches of a concatenation one after another. Auxiliary classifiers
come before the network's own.
"""

from collections.abc import Iterator, Sequence

from ablations.networks.activation import NO_ACTIVATIONS, ActivationOrder
from ablations.networks.architecture import (
    Activate,
    Architecture,
    Drop,
    Head,
    Layer,
    Parallel,
    Row,
    Unit,
    Up,
)

WEIGHT, BIAS = ("weight",), ("weight", "bias")
BN = (*BIAS, "running_mean", "running_var")


def tensors(architecture: Architecture, order: ActivationOrder) -> list[str]:
    """The names of all weights and BN statistics. The shortcuts are identities: others have layers that no other program's
    file has.
    """
    return [f"{layer}.{part}" for layer, parts in _network(architecture, order) for part in parts]


def _network(architecture: Architecture, order: ActivationOrder) -> Iterator[tuple[str, tuple[str, ...]]]:
    outside, stem = order.outside, architecture.stem
    yield "stem", BIAS if stem.bias else WEIGHT
    yield from _bn("stem_activation", outside if stem.activated else [])
    for i, stack in enumerate(architecture.stacks):
        yield from _rows(f"entries.{i}", stack.entry, outside, outside, outside)
        channels = stack.channels
        for u, unit in enumerate(stack.units):
            yield from _unit(f"stages.{i}.units.{u}", unit, order, changes=unit.changes(channels))
            channels = stack.filters
    yield from _bn("head_activation", order.before if architecture.last_activation else [])
    yield from _rows("exit", architecture.exit, outside, outside, outside)
    for i, each in enumerate(architecture.auxiliary):
        yield from _rows(f"auxiliary.{i}.rows", each.rows, outside, outside, outside)
        yield from _linear(f"auxiliary.{i}.", each.head)
    yield from _linear("", architecture.head)


def _linear(prefix: str, head: Head) -> Iterator[tuple[str, tuple[str, ...]]]:
    for i, _ in enumerate(head.hidden):
        yield f"{prefix}hidden.{i}", BIAS
    yield f"{prefix}head", BIAS


def _unit(name: str, unit: Unit, order: ActivationOrder, *, changes: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not unit.activated:
        order = NO_ACTIVATIONS
    yield from _bn(f"{name}.before", order.before if unit.before else [])
    yield from _rows(name, unit.branch, order.between, order.after, order.outside)
    stands = unit.stands == "always" and unit.join == "add"
    if changes and stands and unit.match.projection_kernel:
        yield f"{name}.shortcut.h.conv", BIAS if unit.match.bias else WEIGHT
        yield from _bn(f"{name}.shortcut.h", order.after)
    yield from _bn(f"{name}.after_addition", order.after_addition)


def _rows(
    name: str, rows: Sequence[Row], between: Sequence[str], after: Sequence[str], activate: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """As `rows.Rows` numbers its layers."""
    last = max((i for i, row in enumerate(rows) if isinstance(row, Layer | Parallel)), default=None)
    convolution = extra = 0
    for i, row in enumerate(rows):
        follow = after if i == last else between
        if isinstance(row, Layer):
            yield f"{name}.convolutions.{convolution}", BIAS if row.bias else WEIGHT
            yield from _bn(f"{name}.activations.{convolution}", follow if row.activated else [])
            convolution += 1
            if row.excite:
                yield f"{name}.extras.{extra}.squeeze", BIAS
                yield f"{name}.extras.{extra}.expand", BIAS
        elif isinstance(row, Parallel):
            for branch, inner in enumerate(row.branches):
                yield from _rows(f"{name}.extras.{extra}.branches.{branch}", inner, between, follow, activate)
        elif isinstance(row, Up):
            yield f"{name}.extras.{extra}", BIAS if row.bias else WEIGHT
        elif isinstance(row, Activate):
            yield from _bn(f"{name}.extras.{extra}", activate)
        extra += isinstance(row, Parallel | Up | Activate | Drop) or (isinstance(row, Layer) and row.excite > 0)


def _bn(name: str, sequence: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if "bn" in sequence:
        yield f"{name}.bn", BN
