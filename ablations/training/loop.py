"""Training one network: the loop around the compiled steps, which has all the effects."""

import time
from collections.abc import Callable, Generator
from pathlib import Path

from ablations.config.run import Config
from ablations.data import catalogue
from ablations.data.dataset import Dataset
from ablations.system import interrupt
from ablations.training import driver, evaluation, feed, outcome, processes, statistics
from ablations.training.checkpoint import Checkpoints
from ablations.training.clock import Clock
from ablations.training.devices import Devices
from ablations.training.journal import Journal
from ablations.training.probe import Probes
from ablations.training.programs import steps_a_call
from ablations.training.steps import State, Steps
from ablations.training.tally import Tally


def train(config: Config, folder: Path, *, quiet: bool = False) -> dict:
    """Train one network alone; see `training`. Returns its record."""
    [result] = driver.run([training(config, folder, catalogue.load(config.data), quiet=quiet)], config)
    if isinstance(result, Exception):
        raise result
    return result


def training(
    config: Config, folder: Path, dataset: Dataset, *, quiet: bool = False
) -> Generator[driver.Call, driver.Answer, dict]:
    """Train a configuration and write its record, metrics and weights into `folder`.

    A coroutine: it yields the calls of the compiled step that it wants, and is sent what they give; so several
    runs can share a device (`driver`). A run that was stopped goes on from its last checkpoint and gives the same
    bits as one that was not. Where the run has several processes, all of them train, and the first one writes.
    Returns the record, {} in the others. Raises UserError where the configuration does not fit the data
    set, and Interrupted where a signal stopped the run.
    """
    started = time.perf_counter()
    catalogue.check_fits(config.data, config.recipe.batch_size, *dataset.train_images.shape[:2])
    steps, checkpoints = Steps(config, dataset, Devices.configured(config)), Checkpoints(folder)
    checkpoints.check_groups(config, steps.config)
    config, devices, recipe = steps.config, steps.devices, steps.config.recipe
    state = steps.init()
    checkpoints.check_room(state)
    with Journal.opened(config, folder, quiet=quiet) as journal:
        state, tally = restored(checkpoints, steps, state, journal.say)
        probes = Probes(steps, folder, tally)
        journal.begin(tally)
        probes.take_if_due(state)
        clock = Clock(tally, steps.programs, started)
        source = feed.Training(
            config, dataset, tally.to_come(recipe), shard=devices.shard, passed_over=journal.passed_over
        )
        with source as batches:
            while not tally.is_last(recipe):
                with clock.training():
                    count = steps_a_call(config, tally.step, devices.platform)
                    state, losses, wrong = yield driver.Call(steps, state, batches.take(count))
                tally.add(losses, wrong)
                probes.take_if_due(state)
                journal.trained()
                if tally.is_evaluated(recipe):
                    state = statistics.exact_if_due(steps, state, tally, journal.passed_over)
                    journal.evaluated(evaluation.evaluate(steps, state, tally, journal.passed_over))
                stop = processes.any_process(interrupt.stop_requested(config.runs_dir))
                checkpoints.save_if_due(steps, state, tally, clock, at_once=stop)
                if stop:
                    raise stopped(tally, config, checkpoints)
        if not processes.is_first():
            return {}
        clock.note()
        record = outcome.write(folder, steps, state, tally)
        checkpoints.remove()
    return record


def restored(checkpoints: Checkpoints, steps: Steps, state: State, say: Callable[[str], None]) -> tuple[State, Tally]:
    """The state and the tally to go on from: of the newest checkpoint, else `state` and nothing counted."""
    kept = checkpoints.restore(steps.devices.first_copy(state), steps.config.resolved(), say)
    return (steps.devices.replicate(kept[0]), Tally.from_plain(kept[1])) if kept else (state, Tally())


def stopped(tally: Tally, config: Config, checkpoints: Checkpoints) -> interrupt.Interrupted:
    """What the user is told who has stopped a run."""
    return interrupt.Interrupted(
        f"stopped at step {tally.step} of {config.recipe.total_steps}, which is kept in {checkpoints.path}; {interrupt.GO_ON}"
    )
