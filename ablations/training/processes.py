"""What the processes of one run tell each other: collectives over Python objects."""

import pickle
from collections.abc import Callable

import jax
import numpy as np


def is_first() -> bool:
    """Whether this process is the one of its run that reads and writes the run's folder."""
    return jax.process_index() == 0


def from_first(find: Callable):
    """Run `find` in process 0 and broadcast its result; a collective, all must call it."""
    if jax.process_count() == 1:
        return find()
    return all_processes(find() if is_first() else None)[0]


def all_processes(value) -> list:
    """Gather a value that can be pickled from every process, in their order; a collective, all must call it."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental.multihost_utils import process_allgather

    pickled = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = process_allgather(np.asarray(len(pickled)))
    padded = np.asarray(process_allgather(np.resize(pickled, max(sizes))))
    return [pickle.loads(data[:size].tobytes()) for data, size in zip(padded, sizes, strict=True)]


def any_process(says: bool) -> bool:
    """Logical or over processes; a collective, all must call it."""
    if jax.process_count() == 1:
        return says
    from jax.experimental.multihost_utils import process_allgather

    return bool(process_allgather(np.asarray(says)).any())
