"""Training one network: the loop around the compiled steps, which has all the effects."""

import json
import time
from pathlib import Path

import numpy as np

from ablations import count, data, randomness, weights
from ablations.config import Config
from ablations.errors import UserError
from ablations.optimizer import learning_rates
from ablations.progress import Progress
from ablations.records import command, provenance, write_record
from ablations.steps import Steps

STEPS_PER_CALL = {"cpu": 1}  # XLA:CPU is slow on convolutions in a loop; elsewhere a call is up to
MOST_STEPS_PER_CALL = 100


def train(config: Config, folder: Path, *, quiet: bool = False) -> dict:
    """Train a configuration and write its record, metrics and weights into `folder`.

    Returns the record. Raises UserError where the configuration does not fit the data set.
    """
    import jax

    started = time.perf_counter()
    dataset = data.load(config.data)
    check_fits(config, dataset)
    recipe, images = config.recipe, len(dataset.train_images)
    steps = Steps(config, dataset)
    state = steps.init()
    most = STEPS_PER_CALL.get(jax.default_backend(), MOST_STEPS_PER_CALL)
    rates = learning_rates(recipe)
    step, train_seconds, status = 0, 0.0, "done"
    losses, wrong, metrics = [], [], []
    with Progress(config, folder, quiet=quiet) as progress, open(folder / "metrics.jsonl", "w") as log:
        while step < recipe.total_steps and status == "done":
            evaluation = min((step // recipe.evaluate_every + 1) * recipe.evaluate_every, recipe.total_steps)
            call = min(most, evaluation - step)
            compiled, start = steps.compile_seconds, time.perf_counter()
            batches = randomness.batches(config.seed, step, call, recipe.batch_size, images)
            state, call_losses, call_wrong = steps.train(state, batches)
            train_seconds += time.perf_counter() - start - (steps.compile_seconds - compiled)
            step += call
            losses.extend(call_losses.tolist())
            wrong.extend(call_wrong.tolist())
            if not np.isfinite(call_losses).all():
                status = "diverged"
                step += 1 + int(np.argmin(np.isfinite(call_losses))) - call
            speed = step * recipe.batch_size / train_seconds
            progress.update(step, losses[-1], 100 * wrong[-1] / recipe.batch_size, speed)
            if step == evaluation or status == "diverged":
                if step == recipe.total_steps and recipe.bn_statistics == "exact":
                    state = steps.exact_statistics(state)
                test_loss, test_error_percent = steps.test(state)
                metrics = {
                    "step": step,
                    "epoch": step * recipe.batch_size / images,
                    "lr": float(rates(step - 1)),
                    "train_loss": float(np.mean(losses)),
                    "train_error_percent": 100 * float(np.sum(wrong)) / (len(wrong) * recipe.batch_size),
                    "test_loss": test_loss,
                    "test_error_percent": test_error_percent,
                }
                log.write(json.dumps(metrics) + "\n")
                log.flush()
                progress.evaluated(metrics)
                losses, wrong = [], []
    weights.save(folder / "weights.safetensors", steps, state)
    record = {
        "study": config.study,
        "row": config.row,
        "seed": config.seed,
        "status": status,
        "test_error_percent": metrics["test_error_percent"],
        "train_loss": metrics["train_loss"],
        "steps": step,
        "parameters": count.parameters(steps.network),
        "macs": count.macs(steps.network, dataset.train_images.shape[1:]),
        "train_images": images,
        "compile_seconds": steps.compile_seconds,
        "wall_seconds": time.perf_counter() - started,
        "train_images_per_second": speed,
        "config": config.resolved(),
        "command": command(),
    } | provenance()
    write_record(folder, record)
    return record


def check_fits(config: Config, dataset: data.Dataset) -> None:
    """Raise UserError where a batch is larger than the training set or an image is too small."""
    images, size = dataset.train_images.shape[0], min(dataset.train_images.shape[1:3])
    if config.recipe.batch_size > images:
        raise UserError(
            f"recipe.batch_size={config.recipe.batch_size}: the training set of {dataset.name} has {images} images; "
            f"choose at most {images}"
        )
    if config.data.pad >= size:
        raise UserError(f"data.pad={config.data.pad}: images of {dataset.name} are {size} pixels wide; choose less")
