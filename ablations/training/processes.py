"""What the processes of one run tell each other: collectives over Python objects."""

import pickle
from collections.abc import Callable

import jax
import numpy as np


def is_first() -> bool:
    """Whether this process is the one of its run that reads and writes the run's folder."""
    return jax.process_index() == 0


def from_first(find: Callable):
    """What `find` returns in the first process, in all of them; all call it."""
    if jax.process_count() == 1:
        return find()
    return all_processes(find() if is_first() else None)[0]


def all_processes(found) -> list:
    """What each process has found, in the order of the processes, in all of them; all call it."""
    if jax.process_count() == 1:
        return [found]
    from jax.experimental.multihost_utils import process_allgather

    found = np.frombuffer(pickle.dumps(found), np.uint8)
    sizes = process_allgather(np.asarray(len(found)))
    padded = np.asarray(process_allgather(np.resize(found, max(sizes))))
    return [pickle.loads(of[:size].tobytes()) for of, size in zip(padded, sizes, strict=True)]


def any_process(says: bool) -> bool:
    """Whether any process says so; all call it."""
    if jax.process_count() == 1:
        return says
    from jax.experimental.multihost_utils import process_allgather

    return bool(process_allgather(np.asarray(says)).any())
