"""Several runs on one device from one process: each asks for calls of the compiled step, and is sent what they give.

interleaved: the calls of all runs are handed to the device in turn, so that it has work while one of them is
    evaluated or written. The same bits as alone.
vmap: one call does the same steps of all runs, with an axis over the runs. The same numbers as alone but for
    the order of their sums.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training.feed import Batches
from ablations.training.steps import State, Steps, count


@dataclass(frozen=True)
class Call:
    """What a run asks for: a step for each row of `batches` (see `Steps.train`) from its state."""

    steps: Steps
    state: State
    batches: Batches

    @property
    def count(self) -> int:
        """How many steps."""
        return count(self.batches)


class Answer(NamedTuple):
    """What it is sent: see `Steps.train`."""

    state: State
    losses: np.ndarray
    wrong: np.ndarray


Run = Generator[Call, Answer, dict]


def run(runs: list[Run], config: Config) -> list[dict | UserError | OSError]:
    """Drive runs to their ends, packed as the configuration of the first says.

    Of each its record, or what ended it: the others go on.
    """
    pack = Pack(runs)
    (_together if config.packing == "vmap" and len(runs) > 1 else _in_turn)(pack)
    return [pack.results[i] for i in range(len(runs))]


class Pack:
    """The runs, and what came of those that have ended."""

    def __init__(self, runs: list[Run]):
        self.runs = runs
        self.results: dict[int, dict | UserError | OSError] = {}

    def advance(self, i: int, answer: Answer | None = None) -> Call | None:
        """The next call of a run that is sent the answer to its last one; None where it has ended."""
        try:
            return next(self.runs[i]) if answer is None else self.runs[i].send(answer)
        except StopIteration as end:
            self.results[i] = end.value
        except (UserError, OSError) as error:
            self.results[i] = error
        return None


def _in_turn(pack: Pack) -> None:
    def start(i, answer=None):
        if call := pack.advance(i, answer):
            waiting.append((i, call.steps.start(call.state, call.batches)))

    waiting = deque()
    for i in range(len(pack.runs)):
        start(i)
    while waiting:
        i, (state, losses, wrong) = waiting.popleft()
        start(i, Answer(state, np.asarray(losses), np.asarray(wrong)))


def _together(pack: Pack) -> None:
    calls = {i: call for i in range(len(pack.runs)) if (call := pack.advance(i))}
    width = len(calls)
    while calls:
        # Runs that were continued from different steps may ask for calls of different lengths.
        steps = calls[min(calls)].count
        now = [i for i, call in calls.items() if call.count == steps]
        lanes = [calls[i] for i in now]
        # Of runs that have ended: no new program for fewer.
        lanes += [replace(lanes[0], state=jax.tree.map(jnp.copy, lanes[0].state)) for _ in range(width - len(lanes))]
        programs = lanes[0].steps.programs
        seconds = programs.compile_seconds
        keys, batches = [call.steps.data["key"] for call in lanes], [call.batches for call in lanes]
        states, losses, wrong = start_together(lanes[0].steps, [call.state for call in lanes], keys, batches)
        losses, wrong = np.asarray(losses), np.asarray(wrong)
        for call in lanes[1 : len(now)]:
            call.steps.programs.compile_seconds += programs.compile_seconds - seconds  # all have waited for it
        for lane, i in enumerate(now):
            del calls[i]
            if call := pack.advance(i, Answer(states[lane], losses[lane], wrong[lane])):
                calls[i] = call


def start_together(
    steps: Steps, states: list[State], keys: list[jax.Array], batches: list[Batches]
) -> tuple[list[State], jax.Array, jax.Array]:
    """`Steps.start` of several runs of one program by one call, with an axis over the runs.

    keys: of each run's augmentation; batches: of each run, all with as many steps. Losses and wrong
    predictions come as (runs, steps).
    """
    stacked = jax.tree.map(lambda *runs: jnp.asarray(np.stack(runs)), *batches)
    name = ("together", len(states), count(stacked, 1))
    arguments = states, keys, steps.data, stacked
    states, (losses, wrong) = steps.programs.call(name, partial(_advance, steps), *arguments, **Steps.DONATE)
    return states, losses, wrong


def _advance(steps: Steps, states, keys, data, batches):
    axes = {name: 0 if name == "key" else None for name in data}
    stacked = jax.tree.map(lambda *runs: jnp.stack(runs), *states)
    together = jax.vmap(steps.advance, in_axes=(0, axes, 0))
    stacked, outputs = together(stacked, data | {"key": jnp.stack(keys)}, batches)
    return [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(states))], outputs
