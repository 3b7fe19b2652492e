"""What a finished run leaves in its folder: its weights and its record."""

import io
from pathlib import Path

import numpy as np

from ablations.networks import count
from ablations.networks.registry import made_by
from ablations.networks.unit import middle
from ablations.runs import lines
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command, provenance
from ablations.runs.record import write_record
from ablations.system.files import write_whole
from ablations.training import weights
from ablations.training.score import predict
from ablations.training.steps import State, Steps
from ablations.training.tally import Tally

TESTED = (
    "test_error_percent",
    "test_top5_error_percent",
    "test_iou_percent",
)  # what a record keeps of the last evaluation, for each crop

EXAMPLES = 4  # test images of segmentation whose predictions are kept


def write(folder: Path, steps: Steps, state: State, tally: Tally) -> dict:
    """Write the weights, of segmentation a few predictions and, once they are on disk, the record. Returns the record."""
    run = RunFolder(folder)
    weights.save(run.weights_file, steps, state)
    if steps.config.data.task == "segmentation":
        save_examples(run, steps, state)
    finished = record(steps, tally)
    for path in (run.metrics_file, run.probes_file):
        lines.settle(path)
    write_record(folder, finished)
    return finished


def save_examples(folder: RunFolder, steps: Steps, state: State) -> None:
    """The first test images (N, H, W, C), their masks and the predictions (N, H', W'), all uint8, for figures."""
    images, masks = steps.dataset.test_images[:EXAMPLES], steps.dataset.test_labels[:EXAMPLES]
    predictions = predict(steps.logits(state, np.asarray(images))).astype(np.uint8)
    file = io.BytesIO()
    masks = middle(masks, *predictions.shape[1:])
    np.savez_compressed(file, images=np.asarray(images), masks=masks, predictions=predictions)
    write_whole(folder.examples_file, file.getvalue())


def record(steps: Steps, tally: Tally) -> dict:
    """Everything that a table needs to know about a run."""
    config, dataset, last = steps.config, steps.dataset, tally.metrics[-1]
    return {
        "study": config.study,
        "row": config.row,
        "seed": config.seed,
        "status": tally.status,
        **{name: value for name, value in last.items() if name.startswith(TESTED)},
        "train_loss": last["train_loss"],
        "steps": tally.step,
        "parameters": count.parameters(steps.network),
        "macs": count.macs(steps.network, dataset.train_images.shape[1:]),
        "train_images": len(dataset.train_images),
        "test_images": tally.test_images,
        "compile_seconds": tally.compile_seconds,
        "wall_seconds": tally.wall_seconds,
        "train_images_per_second": tally.step * config.recipe.batch_size / tally.train_seconds,
        "packing": config.packing,
        "runs_at_a_time": config.runs_at_a_time,
        **({"broken_images": tally.broken} if dataset.streamed else {}),
        "devices": steps.devices.count,
        "processes": steps.devices.processes,
        **({"deterministic": True} if config.deterministic else {}),
        "config": config.resolved(),
        **made_by(type(config.shortcut), type(config.model)),
        "command": command(),
    } | provenance()
