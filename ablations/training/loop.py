"""Training one network: the loop around the compiled steps, which has all the effects."""

import contextlib
import json
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from ablations.config.run import Config
from ablations.data import catalogue
from ablations.data import dataset as data
from ablations.loggers.mirror import Mirror
from ablations.networks import count
from ablations.runs.progress import Progress
from ablations.runs.provenance import command, provenance
from ablations.runs.record import write_record
from ablations.system import interrupt
from ablations.system.files import write_whole
from ablations.training import devices as mesh
from ablations.training import driver, feed, probe, processes, weights
from ablations.training.checkpoint import Checkpoints
from ablations.training.programs import next_evaluation, steps_a_call
from ablations.training.score import Score
from ablations.training.steps import Steps


def train(config: Config, folder: Path, *, quiet: bool = False) -> dict:
    """Train one network alone; see `training`. Returns its record."""
    [result] = driver.run([training(config, folder, catalogue.load(config.data), quiet=quiet)], config)
    if isinstance(result, Exception):
        raise result
    return result


def training(
    config: Config, folder: Path, dataset: data.Dataset, *, quiet: bool = False
) -> Generator[driver.Call, driver.Answer, dict]:
    """Train a configuration and write its record, metrics and weights into `folder`.

    A coroutine: it yields the calls of the compiled step that it wants, and is sent what they give; so several
    runs can share a device (`pack`). A run that was stopped goes on from its last checkpoint and gives the same
    bits as one that was not. Where the run has several processes, all of them train, and the first one writes.
    Returns the record, {} in the others. Raises UserError where the configuration does not fit the data
    set, and Interrupted where a signal stopped the run.
    """
    started = time.perf_counter()
    catalogue.check_fits(config.data, config.recipe.batch_size, *dataset.train_images.shape[:2])
    devices, writes = mesh.Devices.of(config), processes.is_first()
    steps, checkpoints = Steps(config, dataset, devices), Checkpoints(folder)
    checkpoints.check_groups(config, steps.config)
    config, recipe, images = steps.config, steps.config.recipe, len(dataset.train_images)
    # What the loop counts, as plain data: a checkpoint holds it beside the state.
    loop = {"step": 0, "losses": [], "wrong": [], "metrics": [], "train_seconds": 0.0, "wall_seconds": 0.0}
    loop |= {"compile_seconds": 0.0, "status": "done", "probes": [], "broken": []}
    state = steps.init()
    checkpoints.check_room(state)
    with (
        Progress(config, folder, quiet=quiet, writes=writes) as progress,
        Mirror(config, folder, progress.say) as mirror,
        contextlib.ExitStack() as reading,
    ):
        if restored := checkpoints.restore(devices.one(state), config.resolved(), progress.say):
            state, loop = devices.copy(restored[0]), loop | restored[1]
            progress.say(f"{progress.name}  goes on from step {loop['step']}")
        along = probe.Along(steps, folder, loop, writes=writes)
        if writes:
            write_whole(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in loop["metrics"]))
            mirror.start()
        along(state)
        clock = Clock(loop, steps, started)

        def passed_over(name: str) -> None:
            if name not in loop["broken"]:
                loop["broken"].append(name)
                progress.say(f"{progress.name}  {name} is broken: passed over")

        to_come = range(loop["step"], recipe.total_steps)
        batches = reading.enter_context(
            feed.Training(config, dataset, to_come, shard=devices.shard, passed_over=passed_over)
        )
        while loop["step"] < recipe.total_steps and loop["status"] == "done":
            step = loop["step"]
            call, evaluation = steps_a_call(config, step), next_evaluation(recipe, step)
            with clock.training():
                state, losses, wrong = yield driver.Call(steps, state, batches.take(call))
            finite = np.isfinite(losses)
            if not finite.all():
                loop["status"], call = "diverged", int(np.argmin(finite)) + 1
            loop["step"] += call
            along(state)
            loop["losses"] += losses[:call].tolist()
            loop["wrong"] += wrong[:call].tolist()
            speed = loop["step"] * recipe.batch_size / loop["train_seconds"]
            progress.update(loop["step"], loop["losses"][-1], 100 * loop["wrong"][-1] / recipe.batch_size, speed)
            if loop["step"] == evaluation or loop["status"] == "diverged":
                if loop["step"] == recipe.total_steps and recipe.bn_statistics == "exact":
                    state = steps.exact_statistics(state, passed_over)
                metrics = evaluate(steps, state, loop, passed_over)
                for name in dict.fromkeys(name for of in processes.all_processes(loop["broken"]) for name in of):
                    passed_over(name)
                if writes:
                    with open(folder / "metrics.jsonl", "a") as log:
                        log.write(json.dumps(metrics) + "\n")
                loop["metrics"].append(metrics)
                loop["losses"], loop["wrong"] = [], []
                progress.evaluated(metrics)
            stop = processes.any_process(interrupt.asked(config.runs_dir))
            if writes and (stop or clock.since_checkpoint() > config.checkpoint_seconds):
                clock.note()
                checkpoints.save(loop["step"], devices.one(state), loop, config.resolved(), wait=stop)
            if stop:
                raise interrupt.Interrupted(
                    f"stopped at step {loop['step']} of {recipe.total_steps}, which is kept in {checkpoints.path}; "
                    "type the same command to go on"
                )
        if not writes:
            return {}
        clock.note()
        weights.save(folder / "weights.safetensors", steps, state)
        record = {
            "study": config.study,
            "row": config.row,
            "seed": config.seed,
            "status": loop["status"],
            **{name: value for name, value in loop["metrics"][-1].items() if name.startswith(TESTED)},
            "train_loss": loop["metrics"][-1]["train_loss"],
            "steps": loop["step"],
            "parameters": count.parameters(steps.network),
            "macs": count.macs(steps.network, dataset.train_images.shape[1:]),
            "train_images": images,
            "test_images": loop["test_images"],
            "compile_seconds": loop["compile_seconds"],
            "wall_seconds": loop["wall_seconds"],
            "train_images_per_second": loop["step"] * recipe.batch_size / loop["train_seconds"],
            "packing": config.packing,
            "runs_at_a_time": config.runs_at_a_time,
            **({"broken_images": loop["broken"]} if dataset.streamed else {}),
            "devices": devices.count,
            "processes": devices.processes,
            "config": config.resolved(),
            "command": command(),
        } | provenance()
        write_record(folder, record)
        checkpoints.remove()
    return record


TESTED = ("test_error_percent", "test_top5_error_percent")  # what a record has of the last evaluation, of each crop

GUESSES = 5


def evaluate(steps: Steps, state, loop: dict, passed_over=feed.silent) -> dict:
    """A line of `metrics.jsonl`; the training figures are means since the line before."""
    config, step = steps.config, loop["step"]
    pixels, *others = config.data.test_crops or [None]
    tested = steps.test(state, pixels, passed_over)
    loop["test_images"] = tested.images
    metrics = {
        "step": step,
        "epoch": step * config.recipe.batch_size / len(steps.dataset.train_images),
        "lr": float(steps.learning_rate(step - 1)),
        "train_loss": float(np.mean(loop["losses"])),
        "train_error_percent": 100 * float(np.sum(loop["wrong"])) / (len(loop["wrong"]) * config.recipe.batch_size),
        "test_loss": tested.loss,
    } | errors(steps, tested)
    for pixels in others if step == config.recipe.total_steps else ():
        of_crop = errors(steps, steps.test(state, pixels, passed_over))
        metrics |= {f"{name}_{pixels}": value for name, value in of_crop.items()}
    # JSON has no word for what is not finite.
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}


def errors(steps: Steps, tested: Score) -> dict[str, float]:
    """Top-1 and, of images as ImageNet's, top-5."""
    found = {"test_error_percent": tested.error_percent()}
    if steps.dataset.streamed and steps.dataset.classes > GUESSES:
        found["test_top5_error_percent"] = tested.error_percent(GUESSES)
    return found


class Clock:
    """Counts seconds into `loop`, over all the processes that a run has seen."""

    def __init__(self, loop: dict, steps: Steps, started: float):
        self.loop, self.steps = loop, steps
        self.noted, self.saved, self.compiled = started, time.perf_counter(), 0.0

    @contextlib.contextmanager
    def training(self):
        """The seconds of a block, without those in which it compiled."""
        start, compiled = time.perf_counter(), self.steps.compile_seconds
        yield
        self.loop["train_seconds"] += time.perf_counter() - start - (self.steps.compile_seconds - compiled)

    def since_checkpoint(self) -> float:
        return time.perf_counter() - self.saved

    def note(self) -> None:
        """Bring the counts up to date, before they are written."""
        now = time.perf_counter()
        self.loop["wall_seconds"] += now - self.noted
        self.loop["compile_seconds"] += self.steps.compile_seconds - self.compiled
        self.noted = self.saved = now
        self.compiled = self.steps.compile_seconds
