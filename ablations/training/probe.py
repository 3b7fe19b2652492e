"""Signal and gradient in every unit of a network: what the paper argues with, measured; Secs. 2, 3 and 4.1.

The network runs on a batch of real images as in a training step, with the BN statistics of that batch, but
with dropout at its expectation. Nothing is trained.

The gradient is taken of the batch twice over. In the second copy nothing passes back through F and through
gates, which only multiply, so that what arrives there at x_l has come through shortcuts alone: the additive part of
Eqn. 5. What the first copy has beside it has come through weights: the multiplicative part. The weights of a
1x1 convolution on a shortcut belong to the shortcut, as in Eqn. 8.
"""

import json
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ablations.data import dataset
from ablations.networks.layers import DropoutLayer
from ablations.networks.shortcut import Identity
from ablations.system.files import write_whole
from ablations.training import augmentation
from ablations.training.programs import DTYPES
from ablations.training.steps import State, Steps

IMAGES_ALONG = 32  # of a probe along training, so that with one in 44 steps it costs less than they do by far

SORTED = 4096

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@jax.custom_vjp
def listen(x, _slot):
    """x itself, a batch twice over. The gradient by `_slot`, (3,) float32, is what passes here on the way back:

    the norms of the first copy's gradient, of the second's, and of their difference.
    """
    return x


def _listen_backward(_, dx):
    whole, part = jnp.split(dx.astype(jnp.float32), 2)
    return dx, jnp.stack([norm(whole), norm(part), norm(whole - part)])


listen.defvjp(lambda x, _slot: (x, None), _listen_backward)


def norm(x):
    """The Euclidean norm, also where squares leave float32: that of 0.5^54 is 3e-33, and gradients are small."""
    largest = jnp.max(jnp.abs(x)).astype(jnp.float32)
    return largest * jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32) / jnp.where(largest > 0, largest, 1))))


def let_through(x, share):
    """x itself, and of its gradient the share, 0 or 1."""
    return share * x + (1 - share) * jax.lax.stop_gradient(x)


class Probe:
    """The probe of a network on the first images of its training set in the order of `data.stratified`."""

    def __init__(self, steps: Steps, images: int):
        chosen = dataset.stratified(steps.dataset.train_labels)[:images]
        batch = np.asarray(steps.dataset.train_images[chosen]), steps.dataset.train_labels[chosen]
        self.steps, self.batch = steps, jax.device_put(batch)
        self._measure = jax.jit(partial(measure, steps))

    def __call__(self, state: State) -> dict:
        """The columns of `columns`, of the network with this state."""
        params, others, arrays = self.steps.devices.one((state.params, state.others, self.steps.data))
        return columns(self.steps, jax.device_get(self._measure(params, others, arrays, *self.batch)))


class Along:
    """The probes of a run along training: `probes.jsonl`, a line at the start, each `recipe.probe_every` steps, at the end.

    Where several steps make one call, a probe waits for the end of the call. What is written is counted in
    `loop`, which a checkpoint holds: a run that goes on has each line once.
    """

    def __init__(self, steps: Steps, folder: Path, loop: dict, *, writes: bool = True):
        self.every, self.last = steps.config.recipe.probe_every, steps.config.recipe.total_steps
        self.path, self.loop = folder / "probes.jsonl", loop
        if not writes:  # of several processes another one does
            self.every = None
            return
        if self.every:
            self.probe = Probe(steps, IMAGES_ALONG)
            write_whole(self.path, "".join(json.dumps(line) + "\n" for line in loop["probes"]))
        else:
            self.path.unlink(missing_ok=True)

    def __call__(self, state: State) -> None:
        """Probe, if it is time to."""
        step, lines = self.loop["step"], self.loop["probes"]
        if not self.every or (lines and step // self.every == lines[-1]["step"] // self.every and step < self.last):
            return
        lines.append({"step": step} | self.probe(state))
        with open(self.path, "a") as file:
            file.write(json.dumps(lines[-1]) + "\n")


def measure(steps: Steps, params, others, arrays, images, labels) -> dict:
    """Arrays with a leading axis over the units, a stage each; images: (N, H, W, C) uint8, labels: (N,)."""
    count = len(images)
    images = augmentation.normalise(images, arrays["mean"], arrays["divisor"]).astype(DTYPES[steps.config.precision])

    def merged():
        network = steps.merge(params, others, train=True)
        network.set_attributes(group=count, raise_if_not_found=False)  # each copy has statistics of its own
        network.set_attributes(DropoutLayer, deterministic=True, raise_if_not_found=False)
        return network

    def loss(slots, nothing):
        network, starts, seen = merged(), [], []
        x = network.embed(jnp.concatenate([images, images]))
        for stage, slot in zip(network.stages, slots, strict=True):
            starts.append(x[:count])
            x, of_units = stage.walk(x, _visit, slot)
            seen.append(of_units)
        logits = network.classify(x + nothing.astype(x.dtype))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.concatenate([labels, labels]))
        return losses.sum() / count, (losses[:count].mean(), starts, seen)

    end = jax.eval_shape(lambda: (lambda network: network.walk(network.embed(images), _plain)[0])(merged()))
    nothing = jnp.zeros((2 * count, *end.shape[1:]))
    slots = [jnp.zeros((units, 3)) for units in steps.config.model.units]
    (passed, at_end), (value, starts, seen) = jax.grad(loss, (0, 1), has_aux=True)(slots, nothing)
    references = _references(merged, starts, at_end[:count])
    return {"loss": value, "passed": passed, "references": references, "seen": seen}


def _plain(unit, x, _):
    return unit(x), None


def _visit(unit, x, slot):
    """One unit on a batch twice over, and what is seen of the signal in it."""
    x = listen(x, slot)
    half = len(x) // 2
    share = (jnp.arange(len(x)) < half).astype(x.dtype).reshape(-1, 1, 1, 1)
    read, fx = unit.branches(x)
    layers = unit.shortcut.layers(x.dtype)
    if gate := layers.get("gate"):
        layers["gate"] = lambda x: let_through(gate(x), share)
    y = unit.shortcut.equation(read, let_through(fx, share), **layers)
    cut = jnp.full((), jnp.nan)
    if "relu" in (f := unit.after_addition).sequence:
        cut = jnp.mean((f.bn(y) if f.sequence[0] == "bn" else y)[:half] < 0)
    kept = jnp.full(1 + len(QUANTILES), jnp.nan)
    if gate:
        kept = 1 - gate(read[:half]).astype(jnp.float32)
        # To sort all of them costs more than the network. An odd stride takes every channel.
        some = kept.reshape(-1)[:: max(1, kept.size // SORTED) | 1]
        kept = jnp.concatenate([kept.mean()[None], jnp.quantile(some, jnp.asarray(QUANTILES))])
    x_std, residual_std = (jnp.std(part[:half].astype(jnp.float32)) for part in (x, fx))
    seen = {"x_std": x_std, "residual_std": residual_std, "negative": jnp.mean(y[:half] < 0), "cut_off": cut}
    return unit.after_addition(y), seen | {"kept": kept, "bn_scale": _bn_scales(unit)}


def _bn_scales(unit) -> dict:
    """The mean |scale| of BN in each place of the activation order; NaN where there is none."""
    *between, after = unit.activations
    places = {"before": [unit.before], "between": between, "after": [after], "after_addition": [unit.after_addition]}
    scales = {place: [jnp.abs(one.bn.scale[...]).mean() for one in of if one.bn] for place, of in places.items()}
    return {place: sum(of) / len(of) if of else jnp.full((), jnp.nan) for place, of in scales.items()}


def _references(merged, starts, gradient) -> list:
    """The norms that the gradient would have if on every shortcut were h alone, and no f: with the product 1.

    Two a stage: before its first unit, where h may change the shape, and before its other units.
    """
    norms = []
    for stage in reversed(range(len(starts))):
        after = norm(gradient)
        start = starts[stage]

        def h(x, stage=stage):
            unit = merged().stages[stage].first
            return unit.shortcut.h(unit.branches(x)[0])

        if "h" in merged().stages[stage].first.shortcut.names:
            (gradient,) = jax.vjp(h, start)[1](gradient.astype(start.dtype))
        norms.append((norm(gradient), after))
    return norms[::-1]


def columns(steps: Steps, measured: dict) -> dict:
    """What is measured, as plain data: a list over the units in each entry of "units", None where there is nothing.

    gradient: the norm of dE/dx_l; through_shortcuts, through_weights: of its two parts (Eqn. 5).
    product: through_shortcuts, over what it would be with h alone on every shortcut and without f.
    predicted: the same by Eqn. 8, from the numbers on the shortcuts before training.
    x_std, residual_std, ratio: standard deviations of x_l and F(x_l) over all their numbers, and theirs
        by one another, F(x_l) over x_l.
    negative: the share of y_l below 0; cut_off: the share that f = ReLU sets to 0.
    kept: the mean of 1 - g(x_l); kept_quantiles: its quantiles `QUANTILES`, of some thousand of its numbers.
    bn_scale: the mean |scale| of BN in each place of the activation order.
    """
    passed = [row for stage in measured["passed"] for row in stage.tolist()]
    seen = [
        jax.tree.map(lambda leaf, i=i: leaf[i].tolist(), stage)
        for stage in measured["seen"]
        for i in range(len(stage["x_std"]))
    ]
    references = [
        norms[min(unit, 1)] for norms, n in zip(measured["references"], steps.config.model.units, strict=True) for unit in range(n)
    ]  # fmt: skip
    units = {
        "stage": [stage + 1 for stage, count in enumerate(steps.config.model.units) for _ in range(count)],
        "gradient": [row[0] for row in passed],
        "through_shortcuts": [row[1] for row in passed],
        "through_weights": [row[2] for row in passed],
        "product": [_ratio(row[1], float(norm)) for row, norm in zip(passed, references, strict=True)],
        "predicted": predicted(steps),
    }
    units |= {name: [one[name] for one in seen] for name in ("x_std", "residual_std")}
    units["ratio"] = [_ratio(one["residual_std"], one["x_std"]) for one in seen]
    units |= {name: [one[name] for one in seen] for name in ("negative", "cut_off")}
    units["kept"] = [one["kept"][0] for one in seen]
    units["kept_quantiles"] = [one["kept"][1:] for one in seen]
    units |= {f"bn_scale_{place}": [one["bn_scale"][place] for one in seen] for place in seen[0]["bn_scale"]}
    units = {name: column for name, column in plain(units).items() if any(map(_there, column))}
    return {"loss": plain(float(measured["loss"])), "units": units}


def predicted(steps: Steps) -> list[float | None]:
    """The product of Eqn. 8 from each unit to the last; None where a shortcut is no number."""
    scales = []
    for stage, units in zip(steps.network.stages, steps.config.model.units, strict=True):
        plain = stage.first.shortcut.equation is Identity.equation
        scales += [1.0 if plain else steps.config.shortcut.scale] + [steps.config.shortcut.scale] * (units - 1)
    return [None if None in scales[i:] else math.prod(scales[i:]) for i in range(len(scales))]


def _ratio(one: float, other: float) -> float | None:
    return one / other if other else None


def _there(value) -> bool:
    return any(map(_there, value)) if isinstance(value, list) else value is not None


def plain(value):
    """Numbers with six digits, in lists and dicts too; JSON has no word for what is not finite."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
