"""The compiled steps: pure functions from arrays to arrays."""

import time
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ablations import randomness
from ablations.config.run import Config
from ablations.data import moments as data_moments
from ablations.data.dataset import Dataset
from ablations.networks.kernels import convolution
from ablations.networks.resnet.network import ResNet
from ablations.training import augmentation, colour, feed
from ablations.training.devices import Devices
from ablations.training.optimizer import learning_rates, optimizer
from ablations.training.processes import all_processes
from ablations.training.programs import DTYPES
from ablations.training.score import Score, rank
from ablations.training.statistics import with_statistics

# Compiled, as all that is computed between steps: each small program of an eager call takes 30 ms to compile.
_cross_entropy = jax.jit(optax.softmax_cross_entropy_with_integer_labels)


class State(NamedTuple):
    """Everything that a step changes, as pure arrays.

    params: what SGD trains; others: BN statistics, dropout keys and the numbers of the shortcut.
    """

    step: jax.Array
    params: nnx.State
    others: nnx.State
    momentum: optax.OptState


class Steps:
    """The steps of a configuration on a data set.

    What differs between rows only in its value (weights, keys, scaling factors) is an argument of the
    compiled programs, so such rows share them.

    devices: over which they are spread; without it, one. `recipe.bn_group=device` is a number in `config`.
    """

    DONATE = {"donate_argnums": 0}  # a step reuses the memory of the state that it is given

    def __init__(self, config: Config, dataset: Dataset, devices: Devices | None = None):
        self.devices = devices or Devices.here(1)
        self.devices.check(config.recipe.batch_size)
        self.config, self.dataset = config.on(self.devices.count), dataset
        self.network = nnx.eval_shape(lambda: self._build(randomness.network_keys(0)))
        self.graphdef, *_ = nnx.split(self.network, nnx.Param, ...)
        self.optimizer = optimizer(config.recipe)
        self.learning_rate = jax.jit(learning_rates(config.recipe))
        self.normalization, on_device = _placed(dataset, config.recipe.normalization, config.data.workers, self.devices)
        self.data = on_device | {"key": self.devices.copy(randomness.key(config.seed, "augmentation"))}
        self.compile_seconds = 0.0
        self._compiled = {}

    def _build(self, keys):
        config, dataset = self.config, self.dataset
        channels = dataset.train_images.shape[-1]
        of_all = {"classes": dataset.classes, "image_channels": channels, "rngs": nnx.Rngs(**keys)}
        return ResNet(config.model, config.activation, config.shortcut, **of_all)

    def _call(self, name, function, *arguments, **options):
        """Call a compiled function; the first time, compile it and count the seconds."""
        if name not in self._compiled:
            start = time.perf_counter()
            with convolution.among(self.devices.count):
                lowered = jax.jit(function, **options).lower(*arguments)
            self._compiled[name] = lowered.compile(convolution.compiler_options(self.config.threads))
            self.compile_seconds += time.perf_counter() - start
        return self.devices.settled(self._compiled[name](*arguments))

    def init(self) -> State:
        """The state before the first step."""
        # Drawing weights is milliseconds of work; on a CPU, optimising the program that does it is seconds.
        options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        state = self._call("init", self._init, randomness.network_keys(self.config.seed), compiler_options=options)
        return self.devices.copy(state)

    def _init(self, keys):
        _, params, others = nnx.split(self._build(keys), nnx.Param, ...)
        params, others = nnx.as_pure(params), nnx.as_pure(others)
        return State(jnp.zeros((), jnp.int32), params, others, self.optimizer.init(params))

    def abstract(self) -> State:
        """The shapes and dtypes of a state; no array is made."""
        return jax.eval_shape(self._init, randomness.network_keys(0))

    def train(self, state: State, batches: feed.Batches) -> tuple[State, np.ndarray, np.ndarray]:
        """One step for each row of `batches`: (steps, batch_size) indices into the training set, or, where it is not in
        memory, its images and labels with these leading axes.

        Returns the new state (the old one's memory is reused), and of each step the mean loss and the
        number of wrong predictions, made before its update on the augmented images.
        """
        state, losses, wrong = self.start(state, batches)
        return state, np.asarray(losses), np.asarray(wrong)

    def start(self, state: State, batches: feed.Batches) -> tuple[State, jax.Array, jax.Array]:
        """As `train`, without waiting for the device."""
        name, options = ("train", _count(batches)), self.DONATE | self.devices.options()
        batches = self.devices.fed(batches)
        state, (losses, wrong) = self._call(name, self._steps, state, self.data, batches, **options)
        return state, losses, wrong

    def start_together(
        self, states: list[State], keys: list[jax.Array], batches: list[feed.Batches]
    ) -> tuple[list[State], jax.Array, jax.Array]:
        """`start` of several runs of this program by one call, with an axis over the runs.

        keys: of each run's augmentation; batches: of each run, all with as many steps. Losses and wrong
        predictions come as (runs, steps).
        """
        batches = jax.tree.map(lambda *of_runs: jnp.asarray(np.stack(of_runs)), *batches)
        name = ("together", len(states), _count(batches, 1))
        states, (losses, wrong) = self._call(name, self._together, states, keys, self.data, batches, **self.DONATE)
        return states, losses, wrong

    def _together(self, states, keys, data, batches):
        axes = {name: 0 if name == "key" else None for name in data}
        stacked = jax.tree.map(lambda *of_runs: jnp.stack(of_runs), *states)
        together = jax.vmap(self._steps, in_axes=(0, axes, 0))
        stacked, outputs = together(stacked, data | {"key": jnp.stack(keys)}, batches)
        return [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(states))], outputs

    def trace_train(self, steps: int) -> jax.stages.Traced:
        """The program that `train` runs for so many steps, traced from shapes alone: to be looked at or measured."""
        numbers = jax.ShapeDtypeStruct((steps, self.config.recipe.batch_size), jnp.int32)
        images = jax.ShapeDtypeStruct((*numbers.shape, *self.dataset.train_images.shape[1:]), jnp.uint8)
        batches = {"images": images, "labels": numbers} if self.dataset.streamed else numbers
        batches, state = self.devices.abstract(batches, axis=1), self.devices.abstract(self.abstract())
        with convolution.among(self.devices.count):
            return jax.jit(self._steps, **self.DONATE, **self.devices.options()).trace(state, self.data, batches)

    def _steps(self, state, data, batches):
        if _count(batches) == 1:  # not a loop: XLA compiles a loop's convolutions worse on a CPU
            state, outputs = self._step(data, state, jax.tree.map(lambda x: x[0], batches))
            return state, jax.tree.map(lambda x: x[None], outputs)
        return jax.lax.scan(partial(self._step, data), state, batches)

    def _step(self, data, state, batch):
        images, labels = _taken(data, batch)
        images = self.devices.along_images(images)
        key, pad = jax.random.fold_in(data["key"], state.step), self.config.data.pad
        if self.config.data.colour != "none":
            images = colour.augment(jax.random.fold_in(key, 1), images, self.config.data.colour, data["colours"])
        images = augmentation.normalise(images, data["mean"], data["divisor"])
        images = augmentation.augment(images, *augmentation.draw(key, len(labels), pad, self.config.data.flip), pad)
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (others, wrong)), grads = gradient(state.params, state.others, images, labels)
        updates, momentum = self.optimizer.update(grads, state.momentum, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, others, momentum), (loss, wrong)

    def merge(self, params, others, *, train: bool) -> ResNet:
        """The network with these arrays, in the mode of a training step or of a test."""
        network, recipe = nnx.merge(self.graphdef, params, others), self.config.recipe
        network.train(momentum=recipe.bn_momentum, group=recipe.bn_group) if train else network.eval()
        network.set_attributes(unroll=self.config.unroll, remat=self.config.remat)
        return network

    def _loss(self, params, others, images, labels):
        network = self.merge(params, others, train=True)
        logits = network(images.astype(DTYPES[self.config.precision]))
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), self.config.recipe.label_smoothing)
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        wrong = (logits.argmax(-1) != labels).sum()
        return loss, (nnx.as_pure(nnx.state(network, nnx.Not(nnx.Param))), wrong)

    def logits(self, state: State, images: np.ndarray) -> np.ndarray:
        """uint8 images (N, H, W, C) -> logits (N, classes), with the running BN statistics; by this process alone."""
        home = self.devices.home
        batch = min(self.config.recipe.batch_size // self.devices.processes, len(self.dataset.test_images))
        batch += -batch % home.count
        padded = np.concatenate([images, np.resize(images, (-len(images) % batch, *images.shape[1:]))])
        chunks = padded.reshape(-1, batch, *images.shape[1:])
        name, options = ("logits", chunks.shape[1:]), home.options()
        fixed = self.devices.at_home((state.params, state.others, self.data))
        outputs = [self._call(name, self._logits, *fixed, home.split(x), **options) for x in chunks]
        return np.concatenate([np.asarray(x) for x in outputs])[: len(images)]

    def _logits(self, params, others, data, images):
        images = augmentation.normalise(images, data["mean"], data["divisor"])
        return self.merge(params, others, train=False)(images.astype(DTYPES[self.config.precision]))

    def test(self, state: State, pixels: int | None = None, passed_over=feed.silent) -> Score:
        """Of the test set, with crops of so many pixels where it is not in memory; passed_over: see `feed.tests`."""
        losses, ranks = [], []
        for images, labels in feed.tests(self.config, self.dataset, pixels, passed_over, self.devices.shard):
            logits = self.logits(state, images)
            losses.append(np.asarray(_cross_entropy(logits, labels)))
            ranks.append(rank(logits, labels))
        parts = all_processes((np.concatenate(losses), np.concatenate(ranks)))
        return Score(*map(np.concatenate, zip(*parts, strict=True)))

    def exact_statistics(self, state: State, passed_over=feed.silent) -> State:
        """BN statistics averaged over one pass through the training set, not augmented, in place of running ones."""
        count = len(self.dataset.train_images) // self.config.recipe.batch_size
        sums = None
        options = {"augmented": False, "passed_over": passed_over, "shard": self.devices.shard}
        with feed.Training(self.config, self.dataset, range(count), **options) as batches:
            for _ in range(count):
                batch = self.devices.fed(jax.tree.map(lambda x: x[0], batches.take(1)), axis=0)
                arguments = (state.params, state.others, self.data, batch)
                moments = self._call("moments", self._moments, *arguments, **self.devices.options())
                sums = moments if sums is None else jax.tree.map(jnp.add, sums, moments)
        return state._replace(others=with_statistics(state.others, jax.tree.map(lambda x: x / count, sums)))

    def _moments(self, params, others, data, batch):
        network = self.merge(params, others, train=True)
        # Of the whole batch: within it, the variance of its groups' means would be lost.
        network.set_attributes(momentum=0.0, group=None)
        images = augmentation.normalise(_taken(data, batch)[0], data["mean"], data["divisor"])
        network(images.astype(DTYPES[self.config.precision]))
        flat = nnx.to_flat_state(nnx.as_pure(nnx.state(network, nnx.BatchStat)))
        means = {path: value for path, value in flat if path[-1] == "mean"}
        squares = {
            path: value + jnp.square(means[*path[:-1], "mean"]) for path, value in flat if path[-1] == "variance"
        }
        return means | squares


@lru_cache(maxsize=1)  # runs that share a device share the images on it
def _placed(
    dataset: Dataset, normalization: str, workers: int | None, devices: Devices
) -> tuple[dict[str, np.ndarray], dict[str, jax.Array]]:
    """What is subtracted from images and what divides them; the same, and images and labels, on each device.

    Where images are not in memory: what their random colours are made of in place of images and labels.
    """
    if dataset.streamed:
        found = data_moments.of(dataset.train_images, workers)
        mean, divisor = found.normalization(normalization)
        others = {"colours": colour.components(found.covariance)}
    else:
        mean, divisor = augmentation.statistics(dataset.train_images, normalization)
        others = {"images": dataset.train_images, "labels": dataset.train_labels}
    normalization = {"mean": mean, "divisor": divisor}
    return normalization, devices.copy(others | normalization)


def _taken(data, batch):
    """The images and labels of a batch: chosen here by their numbers, or brought."""
    if "images" in data:
        return data["images"][batch], data["labels"][batch]
    return batch["images"], batch["labels"]


def _count(batches: feed.Batches, axis: int = 0) -> int:
    return jax.tree.leaves(batches)[0].shape[axis]
