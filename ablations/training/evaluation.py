"""Testing a network, and the metrics of an evaluation during training."""

import jax
import numpy as np
import optax

from ablations.data.config import IGNORED
from ablations.networks.unit import middle
from ablations.training import feed
from ablations.training.processes import all_processes
from ablations.training.score import PixelScore, Score, confuse, rank
from ablations.training.steps import State, Steps
from ablations.training.tally import Tally

GUESSES = 5  # for images like ImageNet's, the top-5 error is reported too

# Compiled, like everything between steps: each small program of an eager call takes 30 ms to compile.
_cross_entropy = jax.jit(optax.softmax_cross_entropy_with_integer_labels)


def test(steps: Steps, state: State, pixels: int | None = None, report_broken=feed.silent) -> Score | PixelScore:
    """Test a network on the test set. pixels, report_broken: see `feed.tests`."""
    kind, measure = {"classification": (Score, _of_images), "segmentation": (PixelScore, _of_pixels)}[
        steps.config.data.task
    ]
    measured = [
        measure(steps.logits(state, images), labels)
        for images, labels in feed.tests(steps.config, steps.dataset, pixels, report_broken, steps.devices.shard)
    ]
    parts = all_processes(tuple(map(np.concatenate, zip(*measured, strict=True))))
    return kind(*map(np.concatenate, zip(*parts, strict=True)))


def _of_images(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(_cross_entropy(logits, labels)), rank(logits, labels)


def _of_pixels(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = middle(labels, *logits.shape[1:3])
    counted = labels != IGNORED
    losses = np.asarray(_cross_entropy(logits, np.where(counted, labels, 0).astype(np.int32)), np.float64)
    return np.where(counted, losses, 0).sum((1, 2)), confuse(logits, labels)


def evaluate(steps: Steps, state: State, tally: Tally, report_broken=feed.silent) -> dict:
    """One line of `metrics.jsonl`; its training figures are means since the line before."""
    config, step = steps.config, tally.step
    pixels, *others = config.data.test_crops or [None]
    score = test(steps, state, pixels, report_broken)
    tally.test_images = score.images
    metrics = {
        "step": step,
        "epoch": step * config.recipe.batch_size / len(steps.dataset.train_images),
        "lr": float(steps.learning_rate(step - 1)),
        "train_loss": float(np.mean(tally.losses)),
        "train_error_percent": 100 * float(np.sum(tally.wrong)) / (len(tally.wrong) * config.recipe.batch_size),
        "test_loss": score.loss,
    } | errors(steps, score)
    for pixels in others if step == config.recipe.total_steps else ():
        crop = errors(steps, test(steps, state, pixels, report_broken))
        metrics |= {f"{name}_{pixels}": value for name, value in crop.items()}
    # JSON has no word for numbers that are not finite.
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}


def errors(steps: Steps, score: Score | PixelScore) -> dict[str, float]:
    """Top-1 errors and, for images like ImageNet's, top-5 errors, in percent; of pixels errors and IoU."""
    percent = {"test_error_percent": score.error_percent()}
    if isinstance(score, PixelScore):
        return percent | {"test_iou_percent": score.iou_percent}
    if steps.dataset.streamed and steps.dataset.classes > GUESSES:
        percent["test_top5_error_percent"] = score.error_percent(GUESSES)
    return percent
