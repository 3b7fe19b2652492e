"""Lesions: a trained network tested without some of its units, or with units in another order.

After Veit, Wilber and Belongie 2016, "Residual Networks Behave Like Ensembles of Relatively Shallow Networks".
Nothing is trained. Which units are deleted and in which order they stand are inputs of one compiled program.

A unit is deleted in one of two ways:

- "unit": the whole unit, as if the network had been built without it: x passes unchanged. In a plain
  network the layers around it stay in place, as when Veit et al. take a layer out of a VGG.
- "residual": only F(x); the shortcut stays with whatever is on it (0 in a plain network, 0.5, 1 - g(x),
  a convolution), and so does f.

For identity shortcuts with f = ReLU or without f the two are the same, except for rounding. A unit that changes
the shape of x can only lose its F, so both ways mean "residual" there; in a network with 0 on the shortcut it cannot be
deleted at all. Random deletions and swaps leave such units alone; swaps are between units of the same stage.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np

from ablations.analysis.paths import gradients, shares
from ablations.errors import UserError
from ablations.networks import stack
from ablations.networks.shortcut import NoShortcut
from ablations.terminal import bar
from ablations.training.steps import State, Steps

KEEP, UNIT, RESIDUAL = 0, 1, 2
HOW = {"unit": UNIT, "residual": RESIDUAL}
MOST_AT_ONCE = 20  # units deleted, or pairs swapped
DECODED = 2_000  # test images from a data set that is not in memory: each of many lesions tests all of them
IMAGES_PER_CALL = 512
PATH_TESTS = 3  # the cost of the paths of one length, counted in tests


def study(steps: Steps, state: State, name: str, *, k: int | None, draws: int, paths: int) -> dict:
    """All lesions of a network, errors in percent. The progress bar shows the name.

    k: the most units to delete, or pairs to swap, at once; None for 20, or all if there are fewer. The entries
    "deletions", "swaps" and "taus" are lists over 1 ... k of lists over the draws.
    """
    lesions = Lesions(steps, state)
    if k is not None:
        lesions.check_at_once(k)
    k = k or min(MOST_AT_ONCE, len(lesions.free))
    total = (2 + PATH_TESTS) * lesions.units + 2 * k * draws
    with bar.bar(name, total, "tests") as update:
        count = 0

        def done(tests: int = 1) -> None:
            nonlocal count
            count += tests
            update(min(count, total))

        errors, taus = [], []
        results = {
            "whole": lesions.error_percent(),
            "changing": [unit + 1 for unit in sorted(lesions.changing)],
            "without_unit": lesions.singles(UNIT, done),
            "without_residual": lesions.singles(RESIDUAL, done),
            "deletions": lesions.deletions(k, draws, 0, done),
        }
        if any(len(positions) > 1 for positions in lesions.alike):
            errors, taus = lesions.swaps(k, draws, 0, done)
        results |= {"swaps": errors, "taus": taus}
        results["path_gradients"] = gradients(steps, state, paths, 0, lambda: done(PATH_TESTS))
        update(total)
    return results | {"path_shares": shares(results["path_gradients"])}


class Lesions:
    """Tests of a network with lesions, compiled once. Units are counted from 0 here, and from 1 for users."""

    def __init__(self, steps: Steps, state: State):
        self.steps, self.state = steps, state
        self.counts = steps.config.model.units
        self.units = sum(self.counts)
        starts = np.cumsum([0, *self.counts])
        firsts = {int(start): stage.first for start, stage in zip(starts, steps.network.stages, strict=False)}
        self.changing = {unit for unit, first in firsts.items() if first.changes}
        # Nothing would pass a unit without F whose shortcut is missing or 0.
        nothing = steps.config.shortcut.scale == 0
        self.closed = {unit for unit in self.changing if nothing or firsts[unit].shortcut.kind is NoShortcut}
        self.free = [unit for unit in range(self.units) if unit not in self.changing]
        # The first unit of a stage is not stacked: in the first stage it may lack its first activation.
        self.alike = [list(range(start + 1, start + count)) for start, count in zip(starts, self.counts, strict=False)]
        images, labels = steps.dataset.test_images, steps.dataset.test_labels
        if steps.dataset.streamed:
            images, labels = steps.sample(DECODED, test=True)
        size = min(IMAGES_PER_CALL, len(images))
        padding = -len(images) % size
        self.real = len(images)
        self.images = jnp.asarray(np.concatenate([images, images[:padding]])).reshape(-1, size, *images.shape[1:])
        self.labels = jnp.asarray(np.concatenate([labels, np.full(padding, -1, labels.dtype)])).reshape(-1, size)
        self._wrong = steps.programs.jit(partial(_wrong, steps))

    def error_percent(self, deleted=(), how: int = UNIT, order=None) -> float:
        """The test error without the deleted units, and with unit order[i] in position i."""
        codes, orders = self.plan(deleted, how, order)
        wrong = [
            self._wrong(self.state.params, self.state.others, self.steps.data, images, labels, codes, orders)
            for images, labels in zip(self.images, self.labels, strict=True)
        ]
        return 100 * sum(map(int, wrong)) / self.real

    def plan(self, deleted=(), how: int = UNIT, order=None) -> tuple[list, list]:
        """The codes and orders of a lesion; see `logits`."""
        codes = np.zeros(self.units, np.int32)
        for unit in deleted:
            codes[unit] = RESIDUAL if unit in self.changing else how
        order = np.arange(self.units) if order is None else np.asarray(order)
        ends = np.cumsum(self.counts)
        stages = [slice(end - count, end) for end, count in zip(ends, self.counts, strict=True)]
        return [codes[stage] for stage in stages], [order[stage][1:] - stage.start - 1 for stage in stages]

    def check(self, units: list[int]) -> None:
        """Raise UserError if one of these units, counted from 1, cannot be deleted."""
        for unit in units:
            if not 1 <= unit <= self.units:
                raise UserError(f"unit={unit}: the network has the units 1 ... {self.units}")
            if unit - 1 in self.closed:
                raise UserError(
                    f"unit={unit}: cannot be deleted: it changes the shape of x and has 0 on its shortcut or none, so "
                    "that nothing would pass"
                )

    def check_at_once(self, k: int) -> None:
        """Raise UserError if fewer than k units can be deleted."""
        if not self.free:
            raise UserError(
                f"k={k}: every unit of this network changes the shape of x, so none can be deleted at random"
            )
        if not 1 <= k <= len(self.free):
            raise UserError(
                f"k={k}: {len(self.free)} of the network's {self.units} units can be deleted at random (the others "
                f"change the shape of x); choose 1 ... {len(self.free)}"
            )

    def singles(self, how: int, done: Callable[[], None]) -> list[float | None]:
        """The error without each single unit; None for a unit that cannot be deleted."""
        errors = []
        for unit in range(self.units):
            errors.append(None if unit in self.closed else self.error_percent([unit], how))
            done()
        return errors

    def deletions(self, k: int, draws: int, seed: int, done: Callable[[], None]) -> list[list[float]]:
        """Errors without 1 ... k random units, with `draws` draws of each number."""
        errors = []
        for size in range(1, k + 1):
            random = np.random.default_rng([seed, 0, size])
            errors.append([])
            for _ in range(draws):
                errors[-1].append(self.error_percent(random.choice(self.free, size, replace=False)))
                done()
        return errors

    def swaps(self, k: int, draws: int, seed: int, done: Callable[[], None]) -> tuple[list, list]:
        """Errors after 1 ... k swaps of two random units of a stage, and Kendall's tau between new and old order."""
        errors, taus = [], []
        for size in range(1, k + 1):
            random = np.random.default_rng([seed, 1, size])
            errors.append([])
            taus.append([])
            for _ in range(draws):
                order = np.arange(self.units)
                for _ in range(size):
                    swap(order, self.alike, random)
                errors[-1].append(self.error_percent(order=order))
                taus[-1].append(kendall_tau(order))
                done()
        return errors, taus


def swap(order: np.ndarray, alike: list[list[int]], random: np.random.Generator) -> None:
    """Swap, in place, the units in two positions of the same stage; every such pair is equally likely."""
    pairs = np.array([len(positions) * (len(positions) - 1) / 2 for positions in alike])
    positions = alike[random.choice(len(alike), p=pairs / pairs.sum())]
    first, second = random.choice(positions, 2, replace=False)
    order[[first, second]] = order[[second, first]]


def kendall_tau(order: np.ndarray) -> float:
    """Kendall's tau between an order of 0 ... n - 1 and the natural order: 1 for the same, -1 for the reverse."""
    later = np.triu(np.ones((len(order),) * 2, bool), 1)
    return float(np.mean(np.sign(order[None, :] - order[:, None])[later]))


def logits(steps: Steps, params, others, data, images, codes, orders):
    """uint8 images (N, H, W, C) -> (N, classes).

    codes: for each stage, KEEP, UNIT or RESIDUAL for each unit. orders: for each stage, the order of its stacked units.
    """
    network = steps.merge(stack.reordered(params, orders), stack.reordered(others, orders), train=False)
    return network.classify(network.walk(network.embed(steps.input(images, data)), _visit, codes)[0])


def _wrong(steps: Steps, params, others, data, images, labels, codes, orders):
    """How many images are classified wrongly; images with label -1 do not count."""
    predicted = logits(steps, params, others, data, images, codes, orders).argmax(-1)
    return ((predicted != labels) & (labels >= 0)).sum()


def _visit(unit, x, code):
    read, fx = unit.branches(x)
    y = unit.after_addition(unit.shortcut(read, jnp.where(code == RESIDUAL, 0, fx)))
    return (jnp.where(code == UNIT, x, y) if x.shape == y.shape else y), None
