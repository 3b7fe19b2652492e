"""Training one network: the loop around the compiled steps, which has all the effects."""

import time
from collections.abc import Callable, Generator
from pathlib import Path

import jax

from ablations.config.run import Config
from ablations.data import catalogue
from ablations.data.dataset import Dataset
from ablations.system import interrupt
from ablations.training import calls, determinism, driver, evaluation, feed, outcome, processes, spread, statistics
from ablations.training.checkpoint import Checkpoints
from ablations.training.clock import Clock
from ablations.training.devices import Devices
from ablations.training.journal import Journal
from ablations.training.probe import Probes
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

    This is a coroutine: it yields the calls of the compiled step that it wants and is sent their results, so that
    several runs can share a device (`driver`). A run that was stopped resumes from its last checkpoint and gives the
    same bits as one that was not. If the run has several processes, all of them train, and the first one writes.
    Returns the record, or {} in the other processes. Raises UserError if the configuration does not fit the data set
    or the devices, and Interrupted if a signal stopped the run.
    """
    started = time.perf_counter()
    catalogue.check_fits(config.data, config.recipe.batch_size, *dataset.train_images.shape[:2])
    devices = Devices.configured(config)
    determinism.check(config, devices)
    steps, checkpoints = Steps(config, dataset, devices), Checkpoints(folder)
    checkpoints.check_groups(config, steps.config)
    config, recipe = steps.config, steps.config.recipe
    state = steps.init()
    checkpoints.check_room(state)
    with Journal.opened(config, folder, quiet=quiet) as journal:
        state, tally = restore_or_start(checkpoints, steps, state, journal.say)
        probes = Probes(steps, folder, tally)
        journal.begin(tally)
        if words := spread.advice(config, devices.platform, devices.count, jax.local_device_count()):
            journal.say(words)
        probes.take_if_due(state)
        clock = Clock(tally, steps.programs, started)
        source = feed.Training(
            config, dataset, tally.remaining_steps(recipe), shard=devices.shard, report_broken=journal.report_broken
        )
        with source as batches:
            while not tally.is_last(recipe):
                with clock.training():
                    count = calls.due(config, tally.step, devices.platform)
                    state, losses, wrong = yield driver.Call(steps, state, batches.take(count))
                tally.add(losses, wrong)
                probes.take_if_due(state)
                journal.trained()
                if tally.is_evaluation_due(recipe):
                    state = statistics.exact_if_due(steps, state, tally, journal.report_broken)
                    journal.evaluated(evaluation.evaluate(steps, state, tally, journal.report_broken))
                stop = processes.any_process(interrupt.stop_requested(Path(config.runs_dir)))
                checkpoints.save_if_due(steps, state, tally, clock, at_once=stop)
                if stop:
                    raise interruption(tally, config, checkpoints)
        if not processes.is_first():
            return {}
        clock.note()
        record = outcome.write(folder, steps, state, tally)
        checkpoints.remove()
    return record


def restore_or_start(
    checkpoints: Checkpoints, steps: Steps, state: State, say: Callable[[str], None]
) -> tuple[State, Tally]:
    """The state and the tally of the newest checkpoint or, if there is none, `state` and an empty tally."""
    kept = checkpoints.restore(steps.devices.first_copy(state), steps.config.resolved(), say)
    return (steps.devices.replicate(kept[0]), Tally.from_plain(kept[1])) if kept else (state, Tally())


def interruption(tally: Tally, config: Config, checkpoints: Checkpoints) -> interrupt.Interrupted:
    """The error whose message tells the user where the run was stopped."""
    return interrupt.Interrupted(
        f"stopped at step {tally.step} of {config.recipe.total_steps}, which is kept in {checkpoints.path}; "
        f"{interrupt.GO_ON}"
    )
