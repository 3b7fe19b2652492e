"""The networks that ours are timed against are the same networks."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.costs import measure
from ablations.data import catalogue
from ablations.training import weights
from ablations.training.steps import Steps
from ablations_tests import pictures
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


def compare(config, dataset, folder):
    """Our logits and PyTorch's of 16 images at most, through an exported file with weights of any kind."""
    from safetensors.torch import load_file

    from benchmarks import networks

    steps = Steps(config, dataset)
    state = anything(steps.abstract())
    scale = np.std(steps.logits(state, dataset.test_images[:16]))  # logits of any size would need another tolerance
    params = [(path, leaf / scale if path[0] == "head" else leaf) for path, leaf in nnx.to_flat_state(state.params)]
    state = state._replace(params=nnx.from_flat_state(params))
    weights.save(folder / "weights.safetensors", steps, state)
    tensors = load_file(folder / "weights.safetensors")
    channels = dataset.test_images.shape[-1]
    theirs = networks.ResNet(config.model, config.activation, classes=dataset.classes, image_channels=channels)
    networks.load(theirs, tensors)
    pixels = torch.from_numpy(dataset.test_images[:16])
    images = (pixels / 255 - tensors["normalization.mean"]) / tensors["normalization.divisor"]
    with torch.no_grad():
        logits = theirs.eval()(images.permute(0, 3, 1, 2)).numpy()
    assert np.ptp(logits, axis=0).mean() > 0.1  # the images matter
    return steps.logits(state, dataset.test_images[:16]), logits


@pytest.mark.parametrize("model,depth,order", CASES)
def test_pytorch_gives_the_same_logits(model, depth, order, tmp_path):
    config = configure(model, depth, f"activation={order}", "recipe.batch_size=16")
    ours, theirs = compare(config, catalogue.load(config.data), tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


IMAGENET = [("resnet18", "original"), ("resnet34", "original"), ("resnet50", "original")]
IMAGENET += [("resnet50", "full_preactivation"), ("resnet50", "original", "model.bottleneck_stride=3x3")]


@pytest.mark.parametrize("model,order,switches", [(*case[:2], case[2:]) for case in IMAGENET])
def test_pytorch_gives_the_same_logits_for_imagenet(model, order, switches, tmp_path):
    config = configure("data=imagenet", f"model={model}", f"activation={order}", "recipe.batch_size=4", *switches)
    images = np.stack([np.asarray(pictures.picture(i, 64, 64)) for i in range(4)])
    dataset = dataclasses.replace(measure.synthetic(config, 64), test_images=images)
    ours, theirs = compare(config, dataset, tmp_path)
    assert ours.shape == (4, 1000)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
