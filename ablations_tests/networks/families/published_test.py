"""Parameters and multiply-adds of every family against published counts."""

import pytest

from ablations.networks import count
from ablations_tests.conftest import configure
from ablations_tests.networks.count_test import abstract

IMAGENET = {  # model and overrides: parameters, side of the images, multiply-adds; 1,000 classes, 3 image channels
    "alexnet": (60_965_224, 227, 724_406_816),
    "alexnet_owt": (61_100_840, 224, 714_188_480),
    "vgg11": (132_863_336, 224, 7_609_090_048),
    "vgg13": (133_047_848, 224, 11_308_466_176),
    "vgg16": (138_357_544, 224, 15_470_264_320),
    "vgg19": (143_667_240, 224, 19_632_062_464),
    "vgg16_bn": (138_365_992, 224, 15_470_264_320),
    "vgg16_bn model.bias=false": (138_361_768, None, None),
    "googlenet": (7_005_832, 224, 1_582_671_872),
    "googlenet_paper": (6_998_552, 224, 1_582_671_872),
    "googlenet_torchvision": (6_624_904, 224, 1_498_376_192),
    "googlenet model.auxiliary=paper": (13_385_816, None, None),
    "googlenet_torchvision model.auxiliary=torchvision": (13_004_888, 224, 1_498_376_192),  # not counted: off in tests
    "resnext101_64x4d": (83_455_272, 224, 15_460_270_080),
    "resnext101_32x8d": (88_791_336, 224, 16_414_015_488),
    "resnext101_32x4d": (44_177_704, 224, 7_969_996_800),
    "resnext50_32x4d": (25_028_904, 224, 4_230_479_872),
    "xception": (22_855_952, 299, 8_357_403_496),
    "mobilenet_v1": (4_231_976, 224, 568_740_352),
    "mobilenet_v1 model.width_factor=0.5": (1_331_592, 224, 149_497_088),
    "mobilenet_v2": (3_504_872, 224, 300_774_272),
    "mobilenet_v2 shortcut=conv1x1": (3_504_872 + 86_128, None, None),
    "mobilenet_v3_large": (5_483_032, 224, 216_589_760),
    "mobilenet_v3_large shortcut=conv1x1": (5_483_032 + 88_560, None, None),
    "mobilenet_v3_small": (2_542_856, 224, 56_510_400),
    "mobilenet_v3_small shortcut=conv1x1": (2_542_856 + 25_200, None, None),
}
CIFAR = {  # 10 classes, 32x32
    "alexnet_cifar": (2_472_266, 14_957_056),
    "vgg16_bn_cifar": (14_728_266, 313_201_664),
    "vgg16_bn_cifar model.hidden=[512,512]": (15_253_578, 313_725_952),
    "vgg19_bn_cifar": (20_040_522, 398_136_320),
    "densenet40_12": (1_019_722, 264_812_928),
    "resnext29_8x64d": (34_426_698, 5_387_266_048),
    "resnext29_8x64d activation=full_preactivation": (34_426_698 - 3_584, None),
    "resnext29_16x64d": (68_155_210, 10_688_866_304),
    "resnext29_8x64d model.cardinality=1": (4_914_250, 748_365_824),
    "tutorial44": (683_306, None),
    "wrn_28_10": (36_479_194, 5_243_328_768),
    "wrn_16_8": (10_961_370, 1_548_145_664),
    "wrn_40_4": (8_949_210, 1_298_582_016),
    "wrn_16_4": (2_748_890, 392_612_352),
    "mobilenet_v2_cifar": (2_296_922, 91_154_944),
    "mobilenet_v2_cifar model.shortcuts=equal model.expand_always=false": (2_236_682, 87_976_448),
}
DIGITS = {  # 8x8, one image channel; ours: `resnet110` beside them has 1,727,674 parameters
    "vgg110_digits": (1_727_674, 15_787_648),
    "resnext110_digits": (1_615_034, 14_921_216),
    "mobilenet_v2_digits": (561_402, 5_423_232),
    "xception_digits": (421_962, 5_153_536),
}


@pytest.mark.parametrize("overrides", IMAGENET)
def test_imagenet_networks(overrides):
    parameters, side, macs = IMAGENET[overrides]
    network = abstract("data=imagenet", *f"model={overrides}".split(), classes=1000)
    assert count.parameters(network) == parameters
    assert side is None or count.macs(network, (side, side, 3)) == macs


@pytest.mark.parametrize("overrides", CIFAR)
def test_cifar_networks(overrides):
    parameters, macs = CIFAR[overrides]
    network = abstract("data=cifar10", *f"model={overrides}".split())
    assert count.parameters(network) == parameters
    assert macs is None or count.macs(network, (32, 32, 3)) == macs


DENSE = [  # slow to build, since no two units are alike: counted from their data, as short ones are both ways
    ("densenet121", 1000, 7_978_856, 2_834_161_664, 224),
    ("densenet169", 1000, 14_149_480, 3_359_843_328, 224),
    ("densenet201", 1000, 20_013_928, 4_291_365_888, 224),
    ("densenet161", 1000, 28_681_000, 7_727_907_072, 224),
    ("densenet_bc_100_12", 10, 769_162, 287_929_692, 32),
    ("densenet_bc_250_24", 10, 15_324_406, 5_418_785_724, 32),
    ("densenet_bc_190_40", 10, 25_624_430, 9_301_945_740, 32),
]


def dense_counts(model, classes, side):
    """Parameters and multiply-adds of a DenseNet with bottlenecks: BN, 1x1, BN, 3x3 in a unit; BN, 1x1 between blocks."""
    made, k, imagenet = model.architecture(), model.growth, model.stem == "imagenet"
    weights, norms = (49 if imagenet else 9) * 3 * made.stem.filters, made.stem.filters if imagenet else 0
    side //= 2 if imagenet else 1
    macs = weights * side**2
    side //= 2 if imagenet else 1
    channels = made.stem.filters
    for i, units in enumerate(model.blocks):
        if i:
            compressed = int(channels * model.compression)
            weights, norms = weights + channels * compressed, norms + channels
            macs, channels, side = macs + channels * compressed * side**2, compressed, side // 2
        for _ in range(units):
            unit = channels * 4 * k + 4 * k * 9 * k
            weights, norms, macs, channels = (
                weights + unit,
                norms + channels + 4 * k,
                macs + unit * side**2,
                channels + k,
            )
    assert made.stacks[-1].filters == channels
    return weights + 2 * (norms + channels) + (channels + 1) * classes, macs + channels * classes


@pytest.mark.parametrize("name,classes,parameters,macs,side", DENSE)
def test_dense_networks_by_arithmetic(name, classes, parameters, macs, side):
    overrides = ["model=densenet_bc_190_40", "model.blocks=[41,41,41]", "model.growth=24", "model.stem_filters=48"]
    config = configure("data=imagenet", *(overrides if name == "densenet_bc_250_24" else [f"model={name}"]))
    assert dense_counts(config.model, classes, side) == (parameters, macs)


@pytest.mark.parametrize("model,data,side", [("densenet121", "imagenet", 224), ("densenet_bc_100_12", "cifar10", 32)])
def test_the_arithmetic_is_that_of_the_network(model, data, side):
    overrides = f"data={data}", f"model={model}", "model.blocks=[3,4,2]"
    network = abstract(*overrides)
    counted = count.parameters(network), count.macs(network, (side, side, 3))
    assert dense_counts(configure(*overrides).model, 10, side) == counted


@pytest.mark.parametrize("overrides", DIGITS)
def test_networks_for_digits(overrides):
    network = abstract(f"model={overrides}", channels=1)
    assert (count.parameters(network), count.macs(network, (8, 8, 1))) == DIGITS[overrides]
