"""Architectures as data: which units are alike, where the shape changes, how small a map becomes."""

import pytest

from ablations.networks.architecture import (
    STANDS,
    Architecture,
    Auxiliary,
    Bilinear,
    Cells,
    Drop,
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
        ("unet data=digits_mask", 23),  # Ronneberger et al. 2015: "in total the network has 23 convolutional layers"
        *(("resnet20", 20), ("resnet110", 110), ("resnet164", 164), ("resnet50", 50), ("vgg16", 16), ("alexnet", 8)),
        *(("googlenet", 22), ("densenet121", 121), ("resnext50_32x4d", 50), ("mobilenet_v1", 28)),
    ],
)
def test_the_layers_in_a_networks_name_are_those_with_weights(model, layers):
    assert architecture(*f"model={model}".split()).layers == layers


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
        Architecture(
            Layer(8),
            (Stage((Unit((Layer(8),)),), name="first"),),
            auxiliary=(Auxiliary("last", (Cells(4),), Head(), 0.3),),
        )
    with pytest.raises(ValueError, match="legal are relu, relu6, hardswish"):
        Architecture(Layer(8), (), function="swish")


def of(*branch, stem=None, **unit):
    """A network of one unit with this branch on 16 channels."""
    return Architecture(stem or Layer(16), (Stage((Unit(branch, **unit),)),))


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: of(Layer(16), stem=Layer(16, excite=4)), "the stem has no squeeze-and-excitation"),
        (lambda: Stage((), (Pool("max", 2, 2),)), "a stage has at least one unit"),
        (lambda: Architecture(Layer(16), ()), "a network has at least one stage"),
        (lambda: Architecture(Layer(16), (Stage((Unit((Layer(16),)),), name="a"),) * 2), "name='a'.: two stages"),
        (lambda: of(Layer(16), reads="nowhere"), "reads='nowhere'.: no earlier stage has this name; there are none"),
        (lambda: of(Layer(18, groups=3)), r"groups=3\) in stages\[0\]: reads 16 channels"),
        (lambda: of(Layer(18, groups=4)), r"groups=4\) in stages\[0\]: reads 16 channels"),
        (lambda: of(Parallel(((Layer(8, groups=3),), (Layer(8),)))), "must divide both"),
        (lambda: of(Parallel(((Layer(8, stride=2),), (Layer(8),)))), "sizes, 128 and 256 of 256 pixels"),
        (lambda: of(Parallel(((Layer(8, pad=0),), (Layer(8),)))), "sizes, 254 and 256 of 256 pixels"),
        (lambda: of(Parallel(())), "there is no branch"),
        (lambda: of(Layer(16, pad=0), stands="equal"), "of 256 pixels F makes 254, and a shortcut with its stride of 1 256"),
        (lambda: of(Layer(16), Pool("max", 3, 2, pad=0)), "of 256 pixels F makes 127, and a shortcut with its stride of 2"),
        (lambda: of(Cells(4)), "F makes 4"),
        (lambda: of(Up(16)), "F enlarges its map"),
        (lambda: Layer(0), "filters=0.: must be at least 1"),
        (lambda: Layer(8, pad=-1), "pad=-1.: must be at least 0"),
        (lambda: Up(0), "filters=0.: must be at least 1"),
        (lambda: Pool("max", 2, 0), "stride=0.: must be at least 1"),
        (lambda: Head(cells=0), "cells=0.: must be at least 1"),
        (lambda: Head(hidden=(0,)), "must be at least 1"),
        (lambda: Head(hidden=(8,), dropouts=(0.0, 0.5, 0.5)), "at most one rate for each of the 2 linear layers"),
        (lambda: Head(dropouts=(1.0,)), "at least 0 and below 1"),
        (lambda: Drop(1.5), "rate=1.5.: must be at least 0 and below 1"),
        (lambda: Architecture(Layer(8), (Stage((Unit((Layer(8),)),)),), bn_epsilon=-1), "must be above 0"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused_with_its_place(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_maps_of_every_size_are_free_where_no_shortcut_stands():
    for branch in ((Layer(16, pad=0),), (Up(16),), (Bilinear(), Layer(8)), (Cells(4),)):
        assert of(*branch, stands="never").stacks
    assert of(Layer(16, stride=2, pad=0), stands="equal").stacks, "its shape changes"
    assert all(of(Layer(16), Pool("max", 3, 2), Layer(16, 1), stands=stands).stacks for stands in STANDS)
    assert of(Pool("max", 2, 2), Layer(16)).stacks, "a shortcut meets it on even sides"
    assert of(Parallel(((Pool("max", 2, 2),), (Layer(8, stride=2),))), stands="never").stacks, "so do branches"


@pytest.mark.parametrize("model", ["vgg16", "alexnet", "googlenet model.auxiliary=paper", "xception", "resnet110"])
def test_the_smallest_image(model):
    made = architecture(*f"model={model}".split())
    smallest = made.smallest_image()
    assert made.smallest_map(smallest) > 0 and not any(made.smallest_map(side) for side in range(1, smallest))


def test_a_network_that_no_image_fits():
    assert of(Cells(2), Layer(16, 3, pad=0), stands="never").smallest_image() is None
