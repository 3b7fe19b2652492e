"""Architectures as data: which units are alike, where the shape changes, how small a map becomes."""

import pytest

from ablations.networks.architecture import (
    Architecture,
    Auxiliary,
    Cells,
    Head,
    Layer,
    Parallel,
    Pool,
    Stage,
    Unit,
    Up,
    filters,
    stride,
)
from ablations_tests.conftest import configure


def architecture(*overrides):
    return configure("data=imagenet", *overrides).model.architecture()


def sizes(*overrides):
    return [len(stack.units) for stack in architecture(*overrides).stacks]


def test_units_that_are_alike_are_stacked():
    assert sizes("model=resnet110") == [18, 18, 18]
    assert sizes("model=xception") == [1, 1, 9, 1]
    assert sizes("model=mobilenet_v2_digits") == [12, 12, 12]
    assert sizes("model=densenet121") == [1] * 58  # no two units have the same width
    assert sizes("model=mobilenet_v3_large") == [1, 2, 3, 2, 2, 2, 3]


@pytest.mark.parametrize(
    "model,layers",
    [
        *(("resnet20", 20), ("resnet110", 110), ("resnet164", 164), ("resnet50", 50), ("vgg16", 16), ("alexnet", 8)),
        *(("googlenet", 22), ("densenet121", 121), ("resnext50_32x4d", 50), ("mobilenet_v1", 28)),
    ],
)
def test_the_layers_in_a_networks_name_are_those_with_weights(model, layers):
    assert architecture(f"model={model}").layers == layers


def test_a_shortcut_stands_as_often_as_published():
    """In VGG and MobileNet: at every unit of equal shape."""
    for model, equal in (("vgg16", 9), ("mobilenet_v2", 10), ("mobilenet_v3_large", 10), ("mobilenet_v3_small", 6)):
        stacks = architecture(f"model={model}").stacks
        assert sum(len(stack.units) - stack.changes for stack in stacks) == equal, model
    assert sum(sizes("model=xception")) == 12 and sum(sizes("model=googlenet")) == 9
    assert sum(sizes("model=resnext29_8x64d")) == 9 and sum(sizes("model=wrn_28_10")) == 12


def test_the_shape_after_rows():
    branches = Parallel(((Layer(8, 1, 2),), (Layer(2), Layer(4, 5, 2)), (Pool("max", 3, 2), Layer(3, 1))))
    assert filters((Layer(5), branches), 7) == 15 and stride((Layer(5, 3, 2), branches)) == 4
    assert filters((Up(6), Pool("average", 2, 2)), 7) == 6 and stride((Up(6), Pool("average", 2, 2))) == 1


def test_a_concatenation_grows():
    unit = Unit((Layer(4),), join="concatenate")
    stacks = Architecture(Layer(6), (Stage((unit,) * 3),)).stacks
    assert [(stack.channels, stack.filters) for stack in stacks] == [(6, 10), (10, 14), (14, 18)]


def test_a_long_skip_reads_an_earlier_stage():
    down = Stage((Unit((Layer(8),)),), name="down")
    bottom = Stage((Unit((Layer(16),)),), (Pool("max", 2, 2),))
    up = Stage((Unit((Up(8),), join="concatenate", reads="down"), Unit((Layer(8),))))
    stacks = Architecture(Layer(4), (down, bottom, up)).stacks
    assert [(stack.channels, stack.filters, stack.reads) for stack in stacks[2:]] == [(16, 16, 8), (16, 8, None)]


@pytest.mark.parametrize(
    "model,side,smallest",
    [("vgg16", 224, 7), ("vgg16", 16, 0), ("alexnet", 227, 6), ("alexnet", 62, 0), ("xception", 299, 10),
     ("googlenet", 224, 7), ("densenet121", 224, 7), ("resnet110", 8, 2), ("googlenet", 32, 1),
     ("googlenet model.auxiliary=paper", 224, 4), ("googlenet model.auxiliary=paper", 64, 0),
     ("googlenet model.auxiliary=torchvision", 64, 2)],
)  # fmt: skip
def test_the_smallest_map(model, side, smallest):
    assert architecture(*f"model={model}".split()).smallest_map(side) == smallest


def test_what_cannot_be_meant_is_named():
    with pytest.raises(ValueError, match="an even kernel has no middle"):
        Layer(8, 2)
    with pytest.raises(ValueError, match="not full"):
        Pool("average", 2, 2, ceil=True)
    with pytest.raises(ValueError, match="Unit\\(join='sum'\\): legal are add, concatenate"):
        Unit((Layer(8),), join="sum")
    with pytest.raises(ValueError, match="Auxiliary\\(reads='last'\\): no stage has this name; there are first"):
        Architecture(Layer(8), (Stage((), name="first"),), auxiliary=(Auxiliary("last", (Cells(4),), Head(), 0.3),))
    with pytest.raises(ValueError, match="legal are relu, relu6, hardswish"):
        Architecture(Layer(8), (), function="swish")
