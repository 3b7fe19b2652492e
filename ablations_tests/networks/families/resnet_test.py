import pytest

from ablations.networks.families.resnet import ResNet


def units(depth, branch, stem="cifar"):
    return ResNet(name="net", depth=depth, branch=branch, stem=stem).units


def test_depth_makes_units():
    assert units(110, "basic") == (18, 18, 18)
    assert units(110, "one_layer") == (36, 36, 36)
    assert units(164, "bottleneck") == (18, 18, 18)
    assert units(1001, "bottleneck") == (111, 111, 111)
    assert units(8, "basic") == (1, 1, 1)
    assert units(200, "bottleneck", "imagenet") == (3, 24, 36, 3)


@pytest.mark.parametrize(
    "depth,branch,stem,message",
    [
        (111, "basic", "cifar", r"6n \+ 2 layers deep; the nearest valid: 110 and 116"),
        (165, "bottleneck", "cifar", r"9n \+ 2 layers deep; the nearest valid: 164 and 173"),
        (2, "basic", "cifar", "the nearest valid: 8"),
        (-5, "basic", "cifar", "the nearest valid: 8"),
        (51, "bottleneck", "imagenet", "one of the depths 50, 101, 152, 200"),
        (18, "one_layer", "imagenet", "model.branch=one_layer: no ImageNet network .* choose basic or bottleneck"),
        (18, "bottleneck", "imagenet", "one of the depths 50, 101, 152, 200"),
    ],
)
def test_a_wrong_depth_names_the_nearest(depth, branch, stem, message):
    with pytest.raises(ValueError, match=message):
        units(depth, branch, stem)


def test_an_unknown_value_names_the_legal_ones():
    with pytest.raises(ValueError, match="model.branch=wide: legal are one_layer, basic, bottleneck"):
        units(110, "wide")
