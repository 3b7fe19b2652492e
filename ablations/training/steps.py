"""The equations of training and testing a network: pure functions from arrays to arrays, compiled."""

from functools import lru_cache, partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ablations import randomness
from ablations.config.run import Config
from ablations.data import moments as data_moments
from ablations.data.dataset import Dataset, stratified
from ablations.networks.network import Network
from ablations.networks.streams import streams
from ablations.training import augmentation, calls, colour
from ablations.training.devices import Devices, Placed
from ablations.training.feed import Batches
from ablations.training.loss import total
from ablations.training.optimizer import learning_rates, optimizer
from ablations.training.programs import DTYPES, Programs, alike


class State(NamedTuple):
    """Everything that a step changes, as pure arrays.

    params: what SGD trains. others: BN statistics, dropout keys and the numbers of the shortcut.
    """

    step: jax.Array
    params: nnx.State
    others: nnx.State
    momentum: optax.OptState


class Steps:
    """The steps of a configuration on a data set.

    Whatever differs between rows in value alone (weights, keys, scaling factors) is an argument of the
    compiled programs, so such rows share them.

    devices: those that the steps are spread over; one by default. `recipe.bn_group=device` is a number in `config`.
    normalization: the mean and the divisor of images if they are known, as from a weights file. The training set is then
        not copied to the devices: a step takes images in place of their indices.
    """

    DONATE = {"donate_argnums": 0}  # a step reuses the memory of its argument, the state

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        devices: Devices | None = None,
        *,
        normalization: dict[str, np.ndarray] | None = None,
    ):
        self.devices = devices or Devices.here(1)
        self.devices.check(config.recipe.batch_size)
        self.config, self.dataset = config.for_devices(self.devices.count), dataset
        self.call_length = calls.length(config, self.devices.platform)
        self.network = nnx.eval_shape(lambda: self._build(randomness.network_keys(0)))
        self.graphdef, *_ = nnx.split(self.network, nnx.Param, ...)
        self.optimizer = optimizer(config.recipe, self.network.is_convolution)
        self.learning_rate = jax.jit(learning_rates(config.recipe))
        if normalization is None:
            normalization, data = _on_devices(dataset, config.recipe.normalization, config.data.workers, self.devices)
        else:
            data = self.devices.replicate(normalization)
        self.normalization = normalization
        self.data = data | {"key": self.devices.replicate(randomness.key(config.seed, "augmentation"))}
        exactly = {"matmul_precision": config.matmul_precision, "deterministic": config.deterministic}
        others = alike(self.config, self.graphdef, self.data, dataset)
        self.programs = Programs(self.devices, config.threads, **exactly, alike=others)

    def _build(self, keys) -> Network:
        config, channels = self.config, self.dataset.train_images.shape[-1]
        sizes = {"classes": self.dataset.classes, "image_channels": channels}
        architecture = config.model.architecture()
        return Network(architecture, config.activation, config.shortcut, **sizes, rngs=streams(**keys))

    def init(self, *, draw: bool = True) -> State:
        """The state before the first step; without `draw`, which takes seconds to compile, with weights of 0, to be filled."""
        # The numbers of the shortcut are in the program. On a CPU, optimising it takes seconds, and running it milliseconds.
        options = {"xla_backend_optimization_level": 0} if self.devices.platform == "cpu" else None
        name, keys = ("init", repr(self.config.shortcut), draw), randomness.network_keys(self.config.seed)
        state = self.programs.call(name, partial(self._init, draw), keys, compiler_options=options)
        return self.devices.replicate(state)

    def _init(self, draw: bool, keys) -> State:
        state = _before_training(self.optimizer, self._build(keys))
        return state if draw else state._replace(params=jax.tree.map(jnp.zeros_like, state.params))

    def abstract(self) -> State:
        """The shapes and dtypes of a state, without making an array."""
        return jax.eval_shape(partial(_before_training, self.optimizer), self.network)

    def train(self, state: State, batches: Batches) -> tuple[State, np.ndarray, np.ndarray]:
        """One step for each row of `batches`: (steps, batch_size) indices into the training set or, if it is not in
        memory, its images and labels with these leading axes.

        Returns the new state (the memory of the old one is reused) and, for each step, the mean loss and the number of
        wrong predictions on the augmented images, before the update; of pixels as many images as they fill.
        """
        (state, losses, wrong), made = self.start(state, batches), calls.count(batches)
        return state, np.asarray(losses)[:made], np.asarray(wrong)[:made]

    def start(self, state: State, batches: Batches) -> tuple[State, jax.Array, jax.Array]:
        """As `train`, without waiting for the device; losses and numbers of steps that were not made follow the others."""
        batches, made = calls.full(batches, self.call_length)
        name, arguments = ("train", calls.count(batches)), (state, self.data, self.devices.feed(batches), made)
        options = self.DONATE | self.devices.options()
        state, (losses, wrong) = self.programs.call(name, self.advance, *arguments, **options)
        return state, losses, wrong

    def trace_train(self, steps: int) -> jax.stages.Traced:
        """The program with which `train` makes this many steps, traced from shapes alone: to inspect or measure it."""
        indices = jax.ShapeDtypeStruct((steps, self.config.recipe.batch_size), jnp.int32)
        images = jax.ShapeDtypeStruct((*indices.shape, *self.dataset.train_images.shape[1:]), jnp.uint8)
        in_set = self.dataset.train_labels
        labels = jax.ShapeDtypeStruct((*indices.shape, *in_set.shape[1:]), in_set.dtype)
        batches = indices if "images" in self.data else {"images": images, "labels": labels}
        made = jax.ShapeDtypeStruct((), jnp.int32) if self.call_length > 1 else None
        arguments = self.devices.abstract(self.abstract()), self.data, self.devices.abstract(batches, axis=1), made
        return self.programs.trace(self.advance, *arguments, **self.DONATE, **self.devices.options())

    def advance(self, state: State, data: dict, batches: Placed, made: jax.Array | None):
        """The steps of `train`, to be compiled (`calls.make`). data: like `self.data`. Returns state, (losses, wrong)."""
        return calls.make(partial(self._step, data), state, batches, made)

    def _step(self, data, state, batch):
        images, labels = batch_of(data, batch, self.dataset)
        images = self.devices.along_images(images)
        key, pad = jax.random.fold_in(data["key"], state.step), self.config.data.pad
        if self.config.data.colour != "none":
            images = colour.augment(jax.random.fold_in(key, 1), images, self.config.data.colour, data["colours"])
        images = augmentation.normalise(images, data["mean"], data["divisor"])
        images, labels = augmentation.both(key, images, labels, pad, self.config.data.flip)
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (others, wrong)), grads = gradient(state.params, state.others, images, labels)
        updates, momentum = self.optimizer.update(grads, state.momentum, state.params)
        params = cast(nnx.State, optax.apply_updates(state.params, updates))  # of the same structure
        return State(state.step + 1, params, others, momentum), (loss, wrong)

    def _loss(self, params, others, images, labels):
        network = self.merge(params, others, train=True)
        running = nnx.as_pure(nnx.state(network, nnx.BatchStat))
        logits, auxiliary = network.with_auxiliary(images.astype(DTYPES[self.config.precision]))
        average_statistics(network, running, self.config.recipe.bn_momentum)
        loss, wrong = total(self.config.data.task, logits, auxiliary, labels, self.config.recipe.label_smoothing)
        return loss, (nnx.as_pure(nnx.state(network, nnx.Not(nnx.Param))), wrong)

    def merge(self, params, others, *, train: bool) -> Network:
        """The network with these arrays, in training mode or in test mode."""
        network, recipe = nnx.merge(self.graphdef, params, others), self.config.recipe
        network.train(group=recipe.bn_group) if train else network.eval()
        network.set_attributes(unroll=self.config.unroll, remat=self.config.remat)
        return network

    def input(self, images: jax.Array, data: dict) -> jax.Array:
        """uint8 images (N, H, W, C) -> the input of the network, in the run's precision. data: like `self.data`."""
        return augmentation.normalise(images, data["mean"], data["divisor"]).astype(DTYPES[self.config.precision])

    def logits(self, state: State, images: np.ndarray) -> np.ndarray:
        """uint8 images (N, H, W, C) -> logits (N, classes) or, of pixels, (N, H', W', classes), with running BN statistics.
        Each process computes alone."""
        local = self.devices.local
        batch = min(self.config.recipe.batch_size // self.devices.processes, len(self.dataset.test_images))
        batch += -batch % local.count
        padded = np.concatenate([images, np.resize(images, (-len(images) % batch, *images.shape[1:]))])
        parts = padded.reshape(-1, batch, *images.shape[1:])
        name, options = ("logits", parts.shape[1:]), local.options()
        fixed = self.devices.local_copies((state.params, state.others, self.data))
        outputs = [self.programs.call(name, self._logits, *fixed, local.split(part), **options) for part in parts]
        return np.concatenate([np.asarray(output) for output in outputs])[: len(images)]

    def _logits(self, params, others, data, images):
        return self.merge(params, others, train=False)(self.input(images, data))

    def sample(self, size: int, *, test: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """`size` training or test images, (N, H, W, C) uint8, and labels: always the same ones, stratified by class."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        if test:
            images, labels = self.dataset.test_images, self.dataset.test_labels
        chosen = stratified(labels)[:size]
        return np.asarray(images[chosen]), labels[chosen]


def average_statistics(network: Network, running: nnx.State, momentum: float) -> None:
    """Average the BN statistics of a batch, which the network holds after it, into the running ones.

    Once for all units of a stack: within them, XLA would copy all running statistics on a GPU.

    momentum: the weight of the running mean and (biased) variance.
    """
    batch = nnx.as_pure(nnx.state(network, nnx.BatchStat))
    nnx.update(network, jax.tree.map(lambda old, new: momentum * old + (1 - momentum) * new, running, batch))


def _before_training(optimizer: optax.GradientTransformation, network: Network) -> State:
    _, params, others = nnx.split(network, nnx.Param, ...)
    params, others = nnx.as_pure(params), nnx.as_pure(others)
    return State(jnp.zeros((), jnp.int32), params, others, optimizer.init(params))


@lru_cache(maxsize=1)  # runs that share a device share the images on it
def _on_devices(
    dataset: Dataset, normalization: str, workers: int | None, devices: Devices
) -> tuple[dict[str, np.ndarray], dict[str, jax.Array]]:
    """The mean and the divisor of images; and both on each device, with the images and labels.

    If images are not in memory, the components of their random colours take the place of images and labels.
    """
    if dataset.streamed:
        moments = data_moments.measure(dataset.train_images, workers)
        mean, divisor = moments.normalization(normalization)
        arrays = {"colours": colour.components(moments.covariance)}
    else:
        images = np.asarray(dataset.train_images)
        mean, divisor = augmentation.statistics(images, normalization)
        # An image is a row: each call of a program for a TPU would lay out a data set of four axes anew.
        arrays = {"images": images.reshape(len(images), -1), "labels": dataset.train_labels}
    constants = {"mean": mean, "divisor": divisor}
    return constants, devices.replicate(arrays | constants)


def batch_of(data: dict, batch: Placed, dataset: Dataset) -> tuple[jax.Array, jax.Array]:
    """The images and labels of a batch: chosen on the device by indices, or copied to it. dataset: that of `data`."""
    if isinstance(batch, dict):
        return batch["images"], batch["labels"]
    return data["images"][batch].reshape(*batch.shape, *dataset.train_images.shape[1:]), data["labels"][batch]
