"""What the tests of several devices run in a process that has eight, simulated by XLA_FLAGS: it writes what they gave."""

import sys
from dataclasses import replace

import jax
import numpy as np

from ablations.config import compose
from ablations.config.compose import parse
from ablations.data import catalogue
from ablations.training import statistics
from ablations.training.devices import Devices
from ablations.training.steps import Steps
from ablations_tests import drawn

jax.config.update("jax_numpy_rank_promotion", "raise")

BATCH, STEPS = 64, 4
# Small steps: one unit in a ReLU that falls on its other side for a last bit moves little.
TINY = (
    "model=vgg110_digits", "model.layers=[3,2]", "model.widths=[8,16]", "model.dropout=0", f"recipe.batch_size={BATCH}",
    "recipe.learning_rate=0.002", "data.pad=1", "data.flip=true", "data.train_images=330",
)  # fmt: skip
GROUPS = {"null": None, "device": BATCH // 8, "32": 32}  # as asked, and in how many images that is on 8 devices
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def trained(config, dataset, devices: Devices) -> dict[str, np.ndarray]:
    """Some steps, and with groups of 32 a test and exact statistics; of the step, how often each collective is in it."""
    steps = Steps(config, dataset, devices)
    state, found = devices.replicate(drawn.state(steps)), {"losses": [], "wrong": []}
    for batch in np.arange(STEPS * BATCH, dtype=np.int32).reshape(STEPS, 1, BATCH) % len(dataset.train_images):
        state, losses, wrong = steps.train(state, batch)
        found["losses"] += losses.tolist()
        found["wrong"] += wrong.tolist()
    text = steps.programs.text(("train", 1))
    found |= {name: text.count(f" {name}(") + text.count(f" {name}-start(") for name in COLLECTIVES}
    trees = {"params": state.params, "others": state.others}
    if config.recipe.bn_group == 32:
        trees["exact"] = statistics.exact(steps, state).others
        found["logits"] = steps.logits(state, dataset.test_images[:131])  # neither a multiple of 8 nor of a batch
    for part, tree in trees.items():
        leaves = [leaf for leaf in jax.tree.leaves(tree) if jax.numpy.issubdtype(leaf.dtype, np.floating)]
        found[part] = np.concatenate([np.ravel(leaf) for leaf in leaves])
    found["group"] = steps.config.recipe.bn_group or 0
    return found


def main(out: str) -> None:
    found = {}
    with compose.hydra() as context:
        for asked, images in GROUPS.items():
            config = parse(compose.compose(context, [*TINY, f"recipe.bn_group={asked}"]))
            dataset = catalogue.load(config.data)
            alone = replace(config, recipe=replace(config.recipe, bn_group=images))
            for name, of, devices in (("eight", config, Devices.here()), ("one", alone, Devices.here(1))):
                found |= {f"{asked} {name} {key}": value for key, value in trained(of, dataset, devices).items()}
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1])
