"""The networks that ours are timed against are the same networks."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations import data, weights
from ablations.steps import Steps
from ablations_tests.conftest import configure

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'", exc_type=ImportError)

ORDERS = ("original", "bn_after_addition", "relu_before_addition", "relu_only_preactivation", "full_preactivation")
CASES = [("model=resnet110", "model.depth=14", order) for order in ORDERS]
CASES += [("model=resnet164", "model.depth=20", order) for order in ORDERS[:2] + ORDERS[-1:]]
CASES += [("model=resnet110_1layer", "model.depth=8", "original")]


def anything(state):
    """The state with other weights, means and variances in place of all of its own."""
    random = np.random.default_rng(0)

    def leaf(path, like):
        noise = random.normal(size=like.shape).astype(np.float32)
        if path[-1] == "kernel":
            return noise * np.sqrt(2 / np.prod(like.shape[-4:-1] if like.ndim > 3 else like.shape[:1]))
        return 0.2 * noise + (path[-1] == "scale") if path[-1] != "variance" else np.exp(0.2 * noise)

    def filled(part):
        return nnx.from_flat_state([(path, jnp.asarray(leaf(path, like))) for path, like in nnx.to_flat_state(part)])

    return state._replace(params=filled(state.params), others=filled(state.others))


@pytest.mark.parametrize("model,depth,order", CASES)
def test_pytorch_gives_the_same_logits(model, depth, order, tmp_path):
    from safetensors.torch import load_file

    from benchmarks import networks

    config = configure(model, depth, f"activation={order}", "recipe.batch_size=16")
    dataset = data.load(config.data)
    steps = Steps(config, dataset)
    state = anything(steps.abstract())
    weights.save(tmp_path / "weights.safetensors", steps, state)
    tensors = load_file(tmp_path / "weights.safetensors")
    theirs = networks.ResNet(config.model, config.activation, classes=10, image_channels=1)
    networks.load(theirs, tensors)
    pixels = torch.from_numpy(dataset.test_images[:16])
    images = (pixels / 255 - tensors["normalization.mean"]) / tensors["normalization.divisor"]
    with torch.no_grad():
        logits = theirs.eval()(images.permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(logits, steps.logits(state, dataset.test_images[:16]), rtol=0, atol=1e-4)
    assert np.ptp(logits, axis=0).min() > 0.1  # the images matter
