"""Signal and gradient in every unit of a network, which the paper's arguments are about, measured; Secs. 2, 3 and 4.1.

The network runs on a batch of real images as in a training step, with the BN statistics of that batch, but
with dropout at its expectation. Nothing is trained.

The batch is doubled before the gradient is taken. In the second copy nothing passes back through F or through gates,
which only multiply, so what arrives at x_l has come through shortcuts alone: the additive part of Eqn. 5. What the
first copy has in addition has come through weights: the multiplicative part. The weights of a 1x1 convolution on a
shortcut belong to the shortcut, as in Eqn. 8.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ablations.networks.layers import DropoutLayer
from ablations.networks.rows import Branches, Rows
from ablations.networks.shortcut import Identity, NoShortcut
from ablations.runs import lines
from ablations.runs.folder import RunFolder
from ablations.training import processes
from ablations.training.steps import State, Steps
from ablations.training.tally import Tally

IMAGES_ALONG = 32  # for a probe during training, so that one in 44 steps costs far less than the steps
SORTED = 4096  # quantiles of a gate are taken from about this many of its values
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@jax.custom_vjp
def listen(x, _slot):
    """Identity; the gradient with respect to `_slot`, (3,) float32, reports the norms that flow back here.

    These are the norms of the gradient in the first copy of the batch, in the second, and of their difference.
    """
    return x


def _listen_backward(_, dx):
    whole, part = jnp.split(dx.astype(jnp.float32), 2)
    return dx, jnp.stack([norm(whole), norm(part), norm(whole - part)])


listen.defvjp(lambda x, _slot: (x, None), _listen_backward)


def norm(x):
    """The Euclidean norm, even if squares leave float32: the square of 0.5^54 is 3e-33, and gradients are small."""
    largest = jnp.max(jnp.abs(x)).astype(jnp.float32)
    return largest * jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32) / jnp.where(largest > 0, largest, 1))))


def let_through(x, share):
    """x itself, whose gradient is multiplied by `share`, 0 or 1."""
    return share * x + (1 - share) * jax.lax.stop_gradient(x)


class Probe:
    """The probe of a network on the first images of its training set, in the order of `data.stratified`."""

    def __init__(self, steps: Steps, images: int):
        self.steps, self.batch = steps, jax.device_put(steps.sample(images))
        self._measure = steps.programs.jit(partial(measure, steps))

    def __call__(self, state: State) -> dict:
        """Probe the network with this state; see `columns`."""
        params, others, data = self.steps.devices.first_copy((state.params, state.others, self.steps.data))
        return columns(self.steps, jax.device_get(self._measure(params, others, data, *self.batch)))


class Probes:
    """The probes of a run: one line of `probes.jsonl` at the start, every `recipe.probe_every` steps, and at the end.

    If one call makes several steps, a probe waits for the end of the call. The line is also kept in the run's tally,
    which a checkpoint holds, so a run that resumes has each line once. Only the first process of a run probes.
    """

    def __init__(self, steps: Steps, folder: Path, tally: Tally):
        recipe = steps.config.recipe
        self.every, self.last = recipe.probe_every if processes.is_first() else None, recipe.total_steps
        self.tally, path = tally, RunFolder(folder).probes_file
        if self.every:
            self.probe = Probe(steps, IMAGES_ALONG)
            self.lines = lines.Lines(path, tally.probes)
        elif processes.is_first():
            lines.leave_out(path)

    def take_if_due(self, state: State) -> None:
        if not self._is_due():
            return
        self.tally.probes.append({"step": self.tally.step} | self.probe(state))
        self.lines.add(self.tally.probes[-1])

    def _is_due(self) -> bool:
        if not self.every or not self.tally.probes:
            return bool(self.every)
        step, probed = self.tally.step, self.tally.probes[-1]["step"]
        return step // self.every != probed // self.every or step >= self.last


def measure(steps: Steps, params, others, data, images, labels) -> dict:
    """Lists over the stages, of arrays with a leading axis over units; images: (N, H, W, C) uint8, labels: (N,)."""
    count = len(images)
    images = steps.input(images, data)

    def merged():
        network = steps.merge(params, others, train=True)
        network.set_attributes(group=count, raise_if_not_found=False)  # each copy has statistics of its own
        network.set_attributes(DropoutLayer, deterministic=True, raise_if_not_found=False)
        return network

    def loss(slots, nothing):
        network, starts, seen = merged(), [], []
        x = network.embed(jnp.concatenate([images, images]))
        for i, (stage, slot) in enumerate(zip(network.stages, slots, strict=True)):
            before, x = x[:count], network.enter(i, x)
            starts.append((before, x[:count]))
            x, seen_stage = stage.walk(x, _visit, slot)
            seen.append(seen_stage)
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
    """Run one unit on the doubled batch, and measure the signal in it."""
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
        # Sorting all of them would cost more than the network. An odd stride visits every channel.
        subset = kept.reshape(-1)[:: max(1, kept.size // SORTED) | 1]
        kept = jnp.concatenate([kept.mean()[None], jnp.quantile(subset, jnp.asarray(QUANTILES))])
    x_std, residual_std = (jnp.std(part[:half].astype(jnp.float32)) for part in (x, fx))
    seen = {"x_std": x_std, "residual_std": residual_std, "negative": jnp.mean(y[:half] < 0), "cut_off": cut}
    return unit.after_addition(y), seen | {"kept": kept, "bn_scale": _bn_scales(unit)}


def _bn_scales(unit) -> dict:
    """The mean |scale| of BN in each place of the activation order; NaN if there is no BN."""
    between, after = _inside(unit)
    places = {"before": [unit.before], "between": between, "after": after, "after_addition": [unit.after_addition]}
    scales = {
        name: [jnp.abs(activation.bn.scale[...]).mean() for activation in activations if activation.bn]
        for name, activations in places.items()
    }
    return {name: sum(means) / len(means) if means else jnp.full((), jnp.nan) for name, means in scales.items()}


def _inside(rows: Rows) -> tuple[list, list]:
    """The activations between the convolutions of F, and those after the last one: of branches side by side, of each."""
    between, after = list(rows.activations), []
    if rows.ends_in_layer:
        after = [between.pop()]
    for branches in (extra for extra in rows.extras if isinstance(extra, Branches)):
        for branch in branches.branches:
            inner, last = _inside(branch)
            between, after = between + inner, after + last
    return between, after


def _references(merged, starts, gradient) -> list:
    """The norms that the gradient would have if every shortcut were h alone, without f: with the product 1.

    starts: what leaves the stack before, and what enters the first unit. Two norms for each stack: before its first unit, whose h may change the shape, and before its other units.
    """
    norms = []
    for stage in reversed(range(len(starts))):
        after = norm(gradient)
        before, start = starts[stage]

        def h(x, stage=stage):
            unit = merged().stages[stage].first
            return unit.shortcut.h(unit.branches(x)[0])

        if "h" in merged().stages[stage].first.shortcut.names:
            (gradient,) = jax.vjp(h, start)[1](gradient.astype(start.dtype))
        norms.append((norm(gradient), after))
        if stage and gradient.shape == start.shape:  # else there is no h that would give it the shape
            (gradient,) = jax.vjp(lambda x, stage=stage: merged().enter(stage, x), before)[1](
                gradient.astype(start.dtype)
            )
    return norms[::-1]


def columns(steps: Steps, measured: dict) -> dict:
    """The measurements as plain data: each entry of "units" is a list over the units, None if there is no value.

    gradient: the norm of dE/dx_l; through_shortcuts, through_weights: the norms of its two parts (Eqn. 5).
    product: through_shortcuts divided by what it would be with h alone on every shortcut and without f.
    predicted: the same by Eqn. 8, from the numbers on the shortcuts before training.
    x_std, residual_std: the standard deviations of x_l and F(x_l) over all their numbers; ratio: the second divided
        by the first.
    negative: the share of y_l below 0; cut_off: the share that f = ReLU sets to 0.
    kept: the mean of 1 - g(x_l); kept_quantiles: its quantiles `QUANTILES`, from a few thousand of its numbers.
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
        "stage": [stack.number + 1 for stack in steps.config.model.architecture().stacks for _ in stack.units],
        "gradient": [row[0] for row in passed],
        "through_shortcuts": [row[1] for row in passed],
        "through_weights": [row[2] for row in passed],
        "product": [_ratio(row[1], float(norm)) for row, norm in zip(passed, references, strict=True)],
        "predicted": predicted(steps),
    }
    units |= {name: [unit[name] for unit in seen] for name in ("x_std", "residual_std")}
    units["ratio"] = [_ratio(unit["residual_std"], unit["x_std"]) for unit in seen]
    units |= {name: [unit[name] for unit in seen] for name in ("negative", "cut_off")}
    units["kept"] = [unit["kept"][0] for unit in seen]
    units["kept_quantiles"] = [unit["kept"][1:] for unit in seen]
    units |= {f"bn_scale_{place}": [unit["bn_scale"][place] for unit in seen] for place in seen[0]["bn_scale"]}
    units = {name: column for name, column in plain(units).items() if any(map(_has_value, column))}
    return {"loss": plain(float(measured["loss"])), "units": units}


def predicted(steps: Steps) -> list[float | None]:
    """The product of Eqn. 8 from each unit to the last; None if a shortcut is not a number, or is concatenated: it then
    has a product for each channel.
    """
    scales = []
    for stage, units in zip(steps.network.stages, steps.config.model.units, strict=True):
        scales += [_scale(steps, stage.first)] + [_scale(steps, stage.rest)] * (units - 1)
    return [None if None in scales[i:] else math.prod(scales[i:]) for i in range(len(scales))]


def _scale(steps: Steps, unit) -> float | None:
    if unit is None or unit.concatenates:
        return None
    kind = unit.shortcut.kind  # not the run's where the shape changes, if no shortcut, or an identity, stands there
    return {NoShortcut: 0.0, Identity: 1.0}.get(kind, steps.config.shortcut.scale)


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _has_value(value) -> bool:
    return any(map(_has_value, value)) if isinstance(value, list) else value is not None


def plain(value) -> Any:
    """Numbers with six digits, also inside lists and dicts; None if not finite, since JSON has no word for that."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
