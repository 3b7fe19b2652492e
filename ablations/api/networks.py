"""Networks as flax.nnx modules: before training, or of a finished run, which does not need its data set."""

from pathlib import Path

import jax
import numpy as np
from flax import nnx

from ablations.api.runs import Run
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.networks.network import Network
from ablations.runs.folder import RunFolder
from ablations.training import restore, weights
from ablations.training.steps import State, Steps


def network(config: Config) -> Network:
    """The network of a configuration, with the weights from which its run starts, to the bit: a flax.nnx module.

    It maps normalised images (N, H, W, C) to logits (N, classes), of pixels (N, H, W, classes), float32. It is in training mode; `network.eval()`
    switches to test mode. `network.walk` visits its units. The data set is not needed. The program that draws the
    weights takes seconds to compile, the first time.

    Raises UserError if the configuration trains on an image folder that is not as it must be.

    >>> network = ab.network(config)
    >>> network.stages[0].first.shortcut.names
    ('h', 'gate')
    >>> import jax.numpy as jnp
    >>> network(jnp.zeros((2, 8, 8, 1))).shape
    (2, 10)
    """
    steps = restore.blank(config)
    state = steps.init()
    return nnx.merge(steps.graphdef, state.params, state.others)


class Trained:
    """A trained network that can be called, looked into and trained on; `load` makes it.

    config: the configuration of its training.
    state: its arrays, a `training.steps.State` of step, params, others and momentum.

    >>> trained = ab.load(run.folder)
    >>> images = np.zeros((3, 8, 8, 1), np.uint8)
    >>> trained(images).shape
    (3, 10)
    """

    def __init__(self, steps: Steps, state: State):
        self._steps, self.state = steps, state
        for name in ("images", "labels"):  # those of the data set, if it was read; here each batch brings its own
            steps.data.pop(name, None)

    @property
    def config(self) -> Config:
        return self._steps.config

    @property
    def module(self) -> Network:
        """A flax.nnx module in test mode: normalised images (N, H, W, C) -> logits (N, classes)."""
        return self._steps.merge(self.state.params, self.state.others, train=False)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images (N, H, W, C), uint8, 0 ... 255 -> logits (N, classes), float32, with the running BN statistics; of a
        network for segmentation (N, H, W, classes).

        Images are normalised as in training. The logits of an image do not depend on the other images.
        Raises UserError for images of another shape or type.
        """
        return self._steps.logits(self.state, self._checked(images))

    def step(self, batch: tuple[np.ndarray, np.ndarray]) -> "tuple[Trained, float]":
        """The network after one more step of its recipe, on images (N, H, W, C), uint8, and labels (N,), or label maps
        (N, H, W) for segmentation; and the loss.

        This network does not change. Images are augmented as in training, and the learning rate is the recipe's at
        this step; a finished run starts without momentum. The loss is that before the step.
        Raises UserError for images of another shape or type, and if the recipe has random colours, which need the
        training set.

        >>> after, loss = trained.step((images, np.array([0, 1, 2])))
        >>> int(after.state.step) - int(trained.state.step), loss > 0
        (1, True)
        """
        pixels = self.config.data.task == "segmentation"
        images, labels = self._checked(batch[0]), np.asarray(batch[1], np.uint8 if pixels else np.int32)
        if labels.shape != images.shape[: 3 if pixels else 1]:
            raise UserError(
                f"{len(images)} images with labels of shape {labels.shape}: give one label for each "
                f"{'pixel' if pixels else 'image'}"
            )
        if self.config.data.colour != "none":
            raise UserError(f"data.colour={self.config.data.colour}: a step needs the colours of the training set")
        state = jax.tree.map(jax.numpy.copy, self.state)  # the compiled step reuses the memory of its arguments
        state, losses, _ = self._steps.train(state, {"images": images[None], "labels": labels[None]})
        return Trained(self._steps, state), float(losses[0])

    def _checked(self, images: np.ndarray) -> np.ndarray:
        images, channels = np.asarray(images), self._steps.dataset.train_images.shape[-1]
        if images.ndim != 4 or images.shape[-1] != channels or images.dtype != np.uint8 or not len(images):
            raise UserError(
                f"images of shape {images.shape}, {images.dtype}: this network takes (N, H, W, {channels}), uint8, N at least 1"
            )
        for side in {*images.shape[1:3]}:
            if reason := self.config.model.refusal(side):
                raise UserError(reason)
        return images

    def __repr__(self) -> str:
        config = self.config
        return (
            f"<{config.model.name} with {config.shortcut.name}, trained on {config.data.name} to step "
            f"{int(self.state.step)}>"
        )


def load(run: Run | str | Path) -> Trained:
    """The network of a run, from its weights, or of a weights file, FILE.safetensors; the data set is not needed.

    A run that was stopped is loaded from its newest checkpoint. This needs the data set, since only that says how
    images are normalised.

    Raises UserError if there is nothing to load, or what there is is damaged or belongs to another network.

    >>> ab.load("runs/single/nowhere/seed=0")
    Traceback (most recent call last):
    ablations.errors.UserError: run=runs/single/nowhere/seed=0: there is no finished run in this folder
    """
    if not isinstance(run, Run) and Path(run).suffix == ".safetensors":
        path = Path(run)
        return Trained(*restore.weights_file(path, weights.configuration(path), images=False))
    steps, state, step = restore.run(RunFolder(run.folder if isinstance(run, Run) else Path(run)), images=False)
    return Trained(steps, state._replace(step=jax.numpy.asarray(step, jax.numpy.int32)))
