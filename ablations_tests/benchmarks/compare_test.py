"""The networks that ours are timed against are the same networks."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from ablations.costs import measure
from ablations.data import catalogue
from ablations.networks.activation import ORDERS
from ablations.networks.architecture import (
    Activate,
    Architecture,
    Auxiliary,
    Bilinear,
    Cells,
    Drop,
    Head,
    Layer,
    LocalResponse,
    Match,
    Parallel,
    Pool,
    Stage,
    Unit,
    Up,
)
from ablations.networks.families.resnet import ResNet
from ablations.networks.network import Network
from ablations.networks.scaling import SHORTCUTS
from ablations.training import weights
from ablations.training.steps import Steps
from ablations_tests import drawn, pictures
from ablations_tests.conftest import configure

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'", exc_type=ImportError)

PAPER = ("original", "bn_after_addition", "relu_before_addition", "relu_only_preactivation", "full_preactivation")
CASES = [("model=resnet110", "model.depth=14", "original"), ("model=resnet164", "model.depth=20", "full_preactivation")]
CASES += [("model=resnet110", "model.depth=8", order) for order in PAPER[1:]]
CASES += [("model=resnet110_1layer", "model.depth=8", "original")]


def compare(config, dataset, folder):
    """Our logits and PyTorch's of 16 images at most, through an exported file with weights of any kind."""
    from safetensors.torch import load_file

    from benchmarks import networks

    steps = Steps(config, dataset)
    state = drawn.state(steps)
    scale = np.std(steps.logits(state, dataset.test_images[:16]))  # logits of any size would need another tolerance
    params = [(path, leaf / scale if path[0] == "head" else leaf) for path, leaf in nnx.to_flat_state(state.params)]
    state = state._replace(params=nnx.from_flat_state(params))
    weights.save(folder / "weights.safetensors", steps, state)
    tensors = load_file(folder / "weights.safetensors")
    channels = dataset.test_images.shape[-1]
    architecture, sizes = config.model.architecture(), {"classes": dataset.classes, "image_channels": channels}
    theirs = networks.Network(architecture, config.activation, config.shortcut, **sizes)
    networks.load(theirs, tensors)
    pixels = torch.from_numpy(dataset.test_images[:16])
    images = (pixels / 255 - tensors["normalization.mean"]) / tensors["normalization.divisor"]
    with torch.no_grad():
        logits = theirs.eval()(images.permute(0, 3, 1, 2)).numpy()
    assert np.ptp(logits, axis=0).mean() > 0.01  # the images matter
    return steps.logits(state, dataset.test_images[:16]), logits


@pytest.mark.parametrize("model,depth,order", CASES)
def test_pytorch_gives_the_same_logits(model, depth, order, tmp_path):
    config = configure(model, depth, f"activation={order}", "recipe.batch_size=16")
    ours, theirs = compare(config, catalogue.load(config.data), tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


FAMILIES = [
    ("model=mobilenet_v2_digits", "model.rows=[[4, 16, 2, 1], [4, 20, 2, 2]]"),
    ("model=mobilenet_v1_digits", "model.rows=[[8, 2, 1], [16, 2, 2]]", "model.stem_filters=8", "shortcut=identity"),
    ("model=resnext110_digits", "model.depth=11"),
    ("model=xception_digits", "model.modules=2", "model.widths=[8, 16]"),
    ("model=googlenet_digits", "model.modules=2", "model.widths=[16, 32]"),
    ("model=densenet40_12", "model.blocks=[2, 2]"),
    ("model=vgg110_digits", "model.layers=[3, 2, 2]", "model.cells=2", "model.hidden=[24, 12]"),
]


@pytest.mark.parametrize("overrides", FAMILIES)
def test_pytorch_gives_the_same_logits_for_other_families(overrides, tmp_path):
    config = configure(*overrides, "recipe.batch_size=16")
    ours, theirs = compare(config, catalogue.load(config.data), tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


C = Layer
INVERTED = Unit((C(16, 1), C(16, 5, groups=16, excite=4), C(8, 1)), stands="equal", function="hardswish")
U_NET = Architecture(
    C(6),
    (
        Stage((Unit((C(6), Drop(0.5), C(6)), stands="never"),), name="high"),
        Stage((Unit((C(8), C(8)), stands="never"),), (Pool("max", 2, 2),), "low"),
        Stage((Unit((C(8), C(8)), stands="never"),), (Pool("average", 2, 2),)),
        Stage((Unit((Up(7),), join="concatenate", reads="low"), Unit((C(9),), stands="never"))),
        Stage((Unit((Up(6, bias=False),), reads="high", match=Match(1, bias=True)), Unit((C(6),)))),
    ),
    head=Head(pixels=True),
)
MODULE = Parallel(
    ((C(4, 1),), (C(3, 1), C(4)), (Pool("max", 3, 1), C(4, 1, bias=True)), (Activate(), C(4, 5, groups=2)))
)


def bottlenecks(**design):
    """The first two stages of a ResNet-50."""
    made = ResNet(name="imagenet", depth=50, branch="bottleneck", stem="imagenet", **design).architecture()
    return dataclasses.replace(made, stages=made.stages[:2])


ARCHITECTURES = {
    "bottlenecks with a projection": (bottlenecks(dimension_change="projection"), "full_preactivation"),
    "bottlenecks, the stride on 3x3": (bottlenecks(bottleneck_stride="3x3", padding="both"), "bn_after_addition"),
    "u-net": (U_NET, "original"),
    "u-net of plain ones": (U_NET, "without_bn"),
    "inception": (
        Architecture(
            C(6), (Stage((Unit((MODULE,)), Unit((MODULE, Activate(), C(16)))), (Pool("max", 3, 2, 0, ceil=True),)),)
        ),
        "original",
    ),
    "densely connected": (
        Architecture(
            C(5, 3, pad=2, activated=False),
            (
                Stage((Unit((C(8, 1), C(4)), join="concatenate"), Unit((C(4),), join="concatenate"))),
                Stage(
                    (Unit((C(6, 1), Pool("average", 2, 2)), join="concatenate", match=Match(1)),), (Activate(), C(9, 1))
                ),
            ),
            bn_epsilon=1e-2,
        ),
        "full_preactivation",
    ),
    "inverted": (
        Architecture(
            C(8, 3, 2),
            (
                Stage((INVERTED, INVERTED, INVERTED)),
                Stage((Unit((C(12, 3, 2, groups=4),), match=Match(padding="both")),)),
            ),
            exit=(C(20, 1),),
            head=Head(hidden=(9,), dropouts=(0.0, 0.3)),
            function="hardswish",
            last_activation=False,
        ),
        "linear_bottleneck",
    ),
    "linear layers at the end": (
        Architecture(
            C(6, 5, 2, pad=1, bias=True),
            (
                Stage((Unit((LocalResponse(), C(8, 3, groups=2, bias=True)), stands="equal"),), (Pool("max", 3, 1),)),
                Stage((Unit((C(8), Pool("max", 2, 2)), stands="equal", activated=False), Unit((C(8),), before=False))),
            ),
            head=Head(cells=3, hidden=(11, 7), dropouts=(0.5, 0.5)),
            function="relu6",
        ),
        "without_bn",
    ),
    "auxiliary classifiers": (
        Architecture(
            C(6),
            (Stage((Unit((C(6),)),), name="first"), Stage((Unit((C(8),)),), (Pool("max", 2, 2),), "second")),
            auxiliary=(
                Auxiliary("second", (Pool("average", 3, 2, pad=0), C(5, 1)), Head(cells=2, hidden=(7,)), 0.3),
                Auxiliary("first", (Cells(4), C(5, 1)), Head(4, (7, 6), (0.0, 0.7)), 0.3),
            ),
        ),
        "original",
    ),
    "bilinear u-net": (
        Architecture(
            C(6),
            (
                Stage((Unit((C(6),), stands="never"),), name="high"),
                Stage((Unit((C(8), C(7)), stands="never"),), (Pool("max", 2, 2),)),
                Stage((Unit((Bilinear(),), join="concatenate", reads="high", activated=False), Unit((C(15),)))),
            ),
            head=Head(pixels=True),
        ),
        "original",
    ),
    "linear classifier of cells": (Architecture(C(6), (Stage((Unit((C(6),)),)),), head=Head(cells=2)), "original"),
}


@pytest.mark.parametrize("shortcut", ["identity", "none"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pytorch_gives_the_same_logits_for_any_description(name, shortcut):
    from benchmarks import networks

    (architecture, order), sizes = ARCHITECTURES[name], {"classes": 3, "image_channels": 2}
    described = architecture, ORDERS[order], SHORTCUTS[shortcut]()
    network = nnx.eval_shape(lambda: Network(*described, **sizes, rngs=nnx.Rngs(params=0, dropout=1)))
    network.eval()
    graphdef, *parts = nnx.split(network, nnx.Param, ...)
    params, others = (drawn.drawn(nnx.as_pure(part), seed) for seed, part in enumerate(parts))
    images = np.random.default_rng(3).normal(size=(4, 12, 12, 2)).astype(np.float32)

    @jax.jit
    def logits_of(params, others, x):
        return nnx.merge(graphdef, params, others).with_auxiliary(x)

    ours, ours_auxiliary = logits_of(params, others, images)
    theirs = networks.Network(*described, **sizes).eval()
    tensors = weights.named_tensors(params, others, architecture)
    networks.load(theirs, {name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    with torch.no_grad():
        logits, auxiliary = theirs.with_auxiliary(torch.from_numpy(images).permute(0, 3, 1, 2))
    logits = logits.numpy()
    tolerance = 1e-5 * np.abs(logits).max()
    assert np.ptp(logits, axis=0).mean() > 100 * tolerance and logits.shape == ours.shape  # the images matter
    np.testing.assert_allclose(ours, logits, rtol=0, atol=tolerance)
    for (_, made), expected in zip(ours_auxiliary, auxiliary, strict=True):
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5 * np.abs(expected.numpy()).max())


def test_pytorch_gives_the_same_logits_for_imagenet(tmp_path):
    config = configure("data=imagenet", "model=resnet18", "recipe.batch_size=4")
    images = np.stack([np.asarray(pictures.picture(i, 64, 64)) for i in range(4)])
    dataset = dataclasses.replace(measure.synthetic(config, 64), test_images=images)
    ours, theirs = compare(config, dataset, tmp_path)
    assert ours.shape == (4, 1000)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
