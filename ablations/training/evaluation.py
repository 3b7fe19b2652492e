"""A test of a network, and what an evaluation along training says of it."""

import jax
import numpy as np
import optax

from ablations.training import feed
from ablations.training.processes import all_processes
from ablations.training.score import Score, rank
from ablations.training.steps import State, Steps
from ablations.training.tally import Tally

GUESSES = 5  # of images as ImageNet's, the error of so many is told too

# Compiled, as all that is computed between steps: each small program of an eager call takes 30 ms to compile.
_cross_entropy = jax.jit(optax.softmax_cross_entropy_with_integer_labels)


def test(steps: Steps, state: State, pixels: int | None = None, passed_over=feed.silent) -> Score:
    """Of the test set, with crops of so many pixels where it is not in memory; passed_over: see `feed.tests`."""
    losses, ranks = [], []
    for images, labels in feed.tests(steps.config, steps.dataset, pixels, passed_over, steps.devices.shard):
        logits = steps.logits(state, images)
        losses.append(np.asarray(_cross_entropy(logits, labels)))
        ranks.append(rank(logits, labels))
    parts = all_processes((np.concatenate(losses), np.concatenate(ranks)))
    return Score(*map(np.concatenate, zip(*parts, strict=True)))


def evaluate(steps: Steps, state: State, tally: Tally, passed_over=feed.silent) -> dict:
    """A line of `metrics.jsonl`; the training figures are means since the line before."""
    config, step = steps.config, tally.step
    pixels, *others = config.data.test_crops or [None]
    score = test(steps, state, pixels, passed_over)
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
        crop = errors(steps, test(steps, state, pixels, passed_over))
        metrics |= {f"{name}_{pixels}": value for name, value in crop.items()}
    # JSON has no word for what is not finite.
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}


def errors(steps: Steps, score: Score) -> dict[str, float]:
    """Top-1 and, of images as ImageNet's, top-5."""
    percent = {"test_error_percent": score.error_percent()}
    if steps.dataset.streamed and steps.dataset.classes > GUESSES:
        percent["test_top5_error_percent"] = score.error_percent(GUESSES)
    return percent
