"""What is written is what is read, and what others read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from ablations.data import catalogue
from ablations.errors import UserError
from ablations.networks.scaling import SHORTCUTS
from ablations.training import weights
from ablations.training.steps import Steps
from ablations_tests.conftest import configure


def made(*overrides, seed=0):
    config = configure("model=resnet20", "model.depth=14", f"seed={seed}", *overrides)
    steps = Steps(config, catalogue.load(config.data))
    return steps, steps.init()


def is_float(leaf) -> bool:
    """Whether a leaf is a weight or a statistic; others are where random streams stand."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_state_survives_its_file(shortcut, tmp_path):
    steps, state = made(f"shortcut={shortcut}", "activation=full_preactivation")
    random = np.random.default_rng(0)

    def drawn(leaf):  # at 0 and 1, where BN starts, what is not restored could go unseen
        return jnp.asarray(random.normal(size=leaf.shape), leaf.dtype) if is_float(leaf) else leaf

    state, other = (jax.tree.map(drawn, state) for _ in range(2))
    weights.save(tmp_path / "w", steps, state)
    restored, normalization = weights.load(tmp_path / "w", other), weights.normalization(tmp_path / "w")
    for saved, found in ((state.params, restored.params), (state.others, restored.others)):
        for one, same in zip(jax.tree.leaves(saved), jax.tree.leaves(found), strict=True):
            if is_float(one):
                np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(normalization["mean"], steps.normalization["mean"])


def test_a_stack_is_taken_apart_in_order_and_turned_to_torch(tmp_path):
    steps, state = made("shortcut=constant_scaling")
    weights.save(tmp_path / "w", steps, state)
    tensors = load_file(tmp_path / "w")
    stage = state.params["stages"][1]
    first, rest = (stage[part]["convolutions"][0]["kernel"] for part in ("first", "rest"))
    np.testing.assert_array_equal(tensors["stages.1.units.0.convolutions.0.weight"], np.transpose(first, (3, 2, 0, 1)))
    np.testing.assert_array_equal(
        tensors["stages.1.units.1.convolutions.0.weight"], np.transpose(rest[0], (3, 2, 0, 1))
    )
    np.testing.assert_array_equal(tensors["head.weight"], np.transpose(state.params["head"]["kernel"]))
    assert tensors["stages.0.units.1.shortcut.a"].shape == () and tensors["stages.0.units.1.shortcut.a"] == 0.5


def test_weights_of_another_network_are_refused(tmp_path):
    steps, state = made()
    weights.save(tmp_path / "w", steps, state)
    _, other = made("shortcut=conv1x1")
    with pytest.raises(UserError, match="is damaged or holds another network: 'stages.0.units.0.shortcut.w"):
        weights.load(tmp_path / "w", other)
