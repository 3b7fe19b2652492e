"""How the processes of one run exchange Python objects: collectives, which all processes must call."""

import pickle
from collections.abc import Callable

import jax
import numpy as np


def is_first() -> bool:
    """Whether this is the process that reads and writes the run's folder."""
    return jax.process_index() == 0


def from_first(find: Callable):
    """Call `find` in the first process and broadcast its result; a collective, all must call it."""
    if jax.process_count() == 1:
        return find()
    return all_processes(find() if is_first() else None)[0]


def all_processes(value) -> list:
    """The values of all processes, in the order of the processes; a collective, all must call it."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental.multihost_utils import process_allgather

    encoded = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = process_allgather(np.asarray(len(encoded)))
    padded = np.asarray(process_allgather(np.resize(encoded, max(sizes))))
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(padded, sizes, strict=True)]


def any_process(condition: bool) -> bool:
    """Logical or over the processes; a collective, all must call it."""
    if jax.process_count() == 1:
        return condition
    from jax.experimental.multihost_utils import process_allgather

    return bool(process_allgather(np.asarray(condition)).any())
