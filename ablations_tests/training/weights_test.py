"""What is written is what is read, and what others read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

import ablations as ab
from ablations.data import catalogue
from ablations.errors import UserError
from ablations.networks.activation import ORDERS
from ablations.networks.architecture import Architecture, Layer, Stage, Unit, Up
from ablations.networks.network import Network
from ablations.networks.scaling import SHORTCUTS
from ablations.training import weights
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import configure


def made(*overrides, seed=0):
    config = configure("model=resnet20", *overrides)
    steps = Steps(config, catalogue.load(config.data))
    return steps, drawn.state(steps, seed, a=0.5, rate=0.5)


def is_float(leaf) -> bool:
    """Whether a leaf is a weight or a statistic; others are where random streams stand."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_state_survives_its_file(shortcut, tmp_path):
    steps, state = made(f"shortcut={shortcut}", "activation=full_preactivation")
    other = drawn.state(steps, seed=7)
    weights.save(tmp_path / "w", steps, state)
    restored, normalization = weights.load(tmp_path / "w", steps, other), weights.normalization(tmp_path / "w")
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
    for i, kernel in enumerate(rest):
        tensor = tensors[f"stages.1.units.{1 + i}.convolutions.0.weight"]
        np.testing.assert_array_equal(tensor, np.transpose(kernel, (3, 2, 0, 1)))
    np.testing.assert_array_equal(tensors["head.weight"], np.transpose(state.params["head"]["kernel"]))
    assert tensors["stages.0.units.1.shortcut.a"].shape == () and tensors["stages.0.units.1.shortcut.a"] == 0.5


def test_a_layer_that_sees_a_map_gets_its_pixels_in_the_order_of_torch(tmp_path):
    design = "model.layers=[1, 1, 1]", "model.widths=[4, 4, 6]", "model.cells=2", "model.hidden=[5, 3]"
    config = configure("model=vgg110_digits", *design)
    steps = Steps(config, catalogue.load(config.data))
    state = drawn.state(steps)
    weights.save(tmp_path / "w", steps, state)
    ours, theirs = state.params["hidden"][0]["kernel"], load_file(tmp_path / "w")["hidden.0.weight"]
    expected = np.asarray(ours).reshape(2, 2, 6, 5).transpose(3, 2, 0, 1)  # (out, channel, row, column)
    np.testing.assert_array_equal(theirs.reshape(5, 6, 2, 2), expected)
    restored = weights.load(tmp_path / "w", steps, drawn.state(steps, seed=7))
    for saved, found in zip(jax.tree.leaves(state.params), jax.tree.leaves(restored.params), strict=True):
        np.testing.assert_array_equal(saved, found)


def test_kernels_of_groups_and_of_transposed_convolutions():
    units = Unit((Layer(6, groups=3), Up(4)), stands="never"), Unit((Layer(4),)), Unit((Layer(4, excite=2),))
    architecture = Architecture(Layer(6), (Stage(units),))
    described = architecture, ORDERS["original"], SHORTCUTS["identity"]()
    network = nnx.eval_shape(lambda: Network(*described, classes=2, image_channels=1, rngs=nnx.Rngs(0)))
    params = drawn.drawn(nnx.as_pure(nnx.state(network, nnx.Param)))
    tensors = weights.named_tensors(params, nnx.State({}), architecture)
    unit = params["stages"][0]["first"]
    grouped, up = unit["convolutions"][0]["kernel"], unit["extras"][0]["kernel"]
    np.testing.assert_array_equal(
        tensors["stages.0.units.0.convolutions.0.weight"], np.transpose(grouped, (3, 2, 0, 1))
    )
    assert grouped.shape == (3, 3, 2, 6) and up.shape == (2, 2, 6, 4)
    np.testing.assert_array_equal(tensors["stages.0.units.0.extras.0.weight"], np.transpose(up, (2, 3, 0, 1)))
    squeeze = params["stages"][1]["first"]["extras"][0]["squeeze"]["kernel"]
    np.testing.assert_array_equal(tensors["stages.1.units.0.extras.0.squeeze.weight"], np.transpose(squeeze))


def test_weights_of_another_network_are_refused(tmp_path):
    steps, state = made()
    weights.save(tmp_path / "w", steps, state)
    steps, other = made("shortcut=conv1x1")
    with pytest.raises(UserError, match="is damaged or holds another network: 'stages.0.units.0.shortcut.w"):
        weights.load(tmp_path / "w", steps, other)


def test_a_weights_file_is_loaded_by_itself(tmp_path):
    steps, state = made("shortcut=dropout")
    weights.save(tmp_path / "w.safetensors", steps, state)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    loaded = ab.load(tmp_path / "w.safetensors")
    assert loaded.config == steps.config
    np.testing.assert_array_equal(loaded(pictures), steps.logits(state, pictures))
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="other.safetensors is damaged or holds another network"):
        ab.load(tmp_path / "other.safetensors")
