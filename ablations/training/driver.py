"""Several runs on one device from one process: each asks for calls of the compiled step, and is sent their results.

interleaved: the calls of all runs are handed to the device in turn, so that it has work while one run is
    evaluated or written. Each run gives the same bits as alone.
vmap: one call takes the same steps of all runs, with an axis over the runs. Each run gives the same numbers as
    alone, except for the order in which they are summed.
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
from ablations.training import calls
from ablations.training.feed import Batches
from ablations.training.steps import State, Steps


@dataclass(frozen=True)
class Call:
    """A request by a run: one step for each row of `batches` (see `Steps.train`), from its state."""

    steps: Steps
    state: State
    batches: Batches

    @property
    def count(self) -> int:
        """The number of steps."""
        return calls.count(self.batches)


class Answer(NamedTuple):
    """The results of a call, which the run is sent; see `Steps.train`."""

    state: State
    losses: np.ndarray
    wrong: np.ndarray


Run = Generator[Call, Answer, dict]


def run(runs: list[Run], config: Config) -> list[dict | UserError | OSError]:
    """Drive runs to their ends, packed as the configuration of the first one says.

    Returns the record of each, or the error that ended it; the other runs continue.
    """
    pack = Pack(runs)
    (_together if config.packing == "vmap" and len(runs) > 1 else _in_turn)(pack)
    return [pack.results[i] for i in range(len(runs))]


class Pack:
    """The runs, and the results of those that have ended."""

    def __init__(self, runs: list[Run]):
        self.runs = runs
        self.results: dict[int, dict | UserError | OSError] = {}

    def advance(self, i: int, answer: Answer | None = None) -> Call | None:
        """Send a run the answer to its last call. Returns its next call, or None if it has ended."""
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
            waiting.append((i, call.count, call.steps.start(call.state, call.batches)))

    waiting = deque()
    for i in range(len(pack.runs)):
        start(i)
    while waiting:
        i, made, (state, losses, wrong) = waiting.popleft()
        start(i, Answer(state, np.asarray(losses)[:made], np.asarray(wrong)[:made]))


def _together(pack: Pack) -> None:
    asked = {i: call for i in range(len(pack.runs)) if (call := pack.advance(i))}
    width = len(asked)
    while asked:
        chosen, lanes = list(asked), list(asked.values())
        # Copies stand in for runs that have ended: fewer lanes would need another program.
        lanes += [replace(lanes[0], state=jax.tree.map(jnp.copy, lanes[0].state)) for _ in range(width - len(lanes))]
        programs = lanes[0].steps.programs
        seconds = programs.compile_seconds
        keys, batches = [call.steps.data["key"] for call in lanes], [call.batches for call in lanes]
        states, losses, wrong = start_together(lanes[0].steps, [call.state for call in lanes], keys, batches)
        losses, wrong = np.asarray(losses), np.asarray(wrong)
        for call in lanes[1 : len(chosen)]:
            call.steps.programs.compile_seconds += programs.compile_seconds - seconds  # all have waited for it
        for lane, i in enumerate(chosen):
            made = asked.pop(i).count
            if call := pack.advance(i, Answer(states[lane], losses[lane, :made], wrong[lane, :made])):
                asked[i] = call


def start_together(
    steps: Steps, states: list[State], keys: list[jax.Array], batches: list[Batches]
) -> tuple[list[State], jax.Array, jax.Array]:
    """`Steps.start` for several runs that share a program, in one call with an axis over the runs.

    keys: those of each run's augmentation. batches: those of each run. Losses and wrong predictions are (runs, steps).
    """
    whole, made = zip(*(calls.full(of_run, steps.call_length) for of_run in batches), strict=True)
    stacked = jax.tree.map(lambda *runs: jnp.asarray(np.stack(runs)), *whole)
    name = ("together", len(states), calls.count(stacked, 1))
    arguments = states, keys, steps.data, stacked, None if made[0] is None else jnp.stack(made)
    states, (losses, wrong) = steps.programs.call(name, partial(_advance, steps), *arguments, **Steps.DONATE)
    return states, losses, wrong


def _advance(steps: Steps, states, keys, data, batches, made):
    axes = {name: 0 if name == "key" else None for name in data}
    stacked = jax.tree.map(lambda *runs: jnp.stack(runs), *states)
    together = jax.vmap(steps.advance, in_axes=(0, axes, 0, None if made is None else 0))
    stacked, outputs = together(stacked, data | {"key": jnp.stack(keys)}, batches, made)
    return [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(states))], outputs
