"""Restoring the network of a run: from the weights of a finished run, or from the newest checkpoint of another.

Nothing here imports JAX before the environment is prepared.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ablations.config.run import Config, from_resolved
from ablations.data import catalogue
from ablations.data.config import DataConfig
from ablations.data.dataset import Dataset
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.training import checkpoint
from ablations.training.environment import prepare

if TYPE_CHECKING:
    from ablations.training.steps import State, Steps


class Restored(NamedTuple):
    """A network after `step` steps of training; `steps.config` is its configuration."""

    steps: "Steps"
    state: "State"
    step: int


def run(folder: RunFolder, data: DataConfig | None = None, *, images: bool = True) -> Restored:
    """The network of the run in a folder, from its weights or, if it has none yet, from its newest checkpoint.

    data: for a finished run, a data set of the same kind to use in place of the run's.
    images: whether to read the data set. Without it, `steps` computes logits, and trains on images that are passed to
        it (`feed.Batches`). A checkpoint always needs the data set, which alone says how its images are normalised.

    Raises UserError if there is nothing to restore, the data set is missing, or its images do not fit.
    """
    if folder.record() is None and (config := checkpointed(folder)):
        return _from_checkpoint(folder, config)
    record, path = folder.finished()
    steps, state = weights_file(path, from_resolved(record["config"]), data, images=images)
    return Restored(steps, state, record["steps"])


def weights_file(
    path: Path, config: Config, data: DataConfig | None = None, *, images: bool = True
) -> "tuple[Steps, State]":
    """The network in a weights file. config: of its run. data, images: as in `run`."""
    trained_on = config.data.name
    config = replace(config, data=data or config.data)
    prepare(config)
    from ablations.training import weights
    from ablations.training.steps import Steps

    normalization = weights.normalization(path)
    dataset = catalogue.load(config.data) if images else without_images(config.data)
    if normalization["mean"].shape[-1] != dataset.test_images.shape[-1]:
        raise UserError(f"data={config.data.name}: its images differ in kind from those of {trained_on}")
    steps = Steps(config, dataset, normalization=normalization)
    return steps, weights.load(path, steps, steps.init(draw=False))


def checkpointed(folder: RunFolder) -> Config | None:
    """The configuration of a run's newest checkpoint, None if there is none."""
    resolved = checkpoint.configuration(folder.path)
    return from_resolved(resolved) if resolved else None


def _from_checkpoint(folder: RunFolder, config: Config) -> Restored:
    start, checkpoints = untrained(config), checkpoint.Checkpoints(folder.path)
    restored = checkpoints.restore(start.state, config.resolved(), print)
    checkpoints.close()
    if restored is None:
        raise UserError(f"run={folder}: none of its checkpoints can be used")
    state, loop = restored
    return start._replace(state=state, step=loop["step"])


def untrained(config: Config) -> Restored:
    """The network that a run with this configuration starts from."""
    prepare(config)
    from ablations.training.steps import Steps

    steps = Steps(config, catalogue.load(config.data))
    return Restored(steps, steps.init(), 0)


def blank(config: Config) -> "Steps":
    """The steps of a configuration without its data set: to make a state of its network."""
    prepare(config)
    from ablations.training.steps import Steps

    channels = catalogue.kind(config.data).image[-1]
    unused = {"mean": np.zeros(channels, np.float32), "divisor": np.ones(channels, np.float32)}  # no image is seen
    return Steps(config, without_images(config.data), normalization=unused)


def without_images(config: DataConfig) -> Dataset:
    """A data set as large as the configured one, with black images that take no memory; nothing is read."""
    kind, (train, test) = catalogue.kind(config), catalogue.sizes(config)

    def black(images: int) -> np.ndarray:
        return np.broadcast_to(np.uint8(0), (images, *kind.image))

    def labels(images: int) -> np.ndarray:
        shape = (images, *kind.image[:2]) if kind.task == "segmentation" else images
        return np.broadcast_to(np.uint8(0) if kind.task == "segmentation" else np.int32(0), shape)

    return Dataset(config.name, kind.classes, black(train), labels(train), black(test), labels(test), kind.streamed)
