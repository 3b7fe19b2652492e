"""The settings of families: what is refused, what a network is called, and which images fit."""

from dataclasses import dataclass

import pytest

from ablations.errors import UserError
from ablations.networks.architecture import Architecture, Cells, Layer, Stage, Unit
from ablations.networks.families.googlenet import GoogLeNet
from ablations.networks.families.vgg import VGG
from ablations.networks.family import ModelConfig
from ablations_tests.conftest import configure


@pytest.mark.parametrize(
    "model,word",
    [
        ("wrn_16_4", "dropout=1.5"), ("wrn_16_4", "dropout=-0.5"), ("densenet40_12", "dropout=1.0"),
        ("mobilenet_v2_digits", "dropout=2"), ("mobilenet_v3_small", "dropout=1"), ("googlenet_digits", "dropout=-1"),
        ("xception_digits", "dropout=1"), ("vgg110_digits", "dropout=1"),
        ("densenet40_12", "stem_filters=0"), ("densenet40_12", "growth=0"), ("densenet40_12", "blocks=[]"),
        ("mobilenet_v2_digits", "last=-5"), ("mobilenet_v2_digits", "stem_filters=-4"),
        ("mobilenet_v1_digits", "stem_filters=0"), ("vgg110_digits", "layers=[] model.widths=[]"),
        ("vgg110_digits", "cells=0"), ("resnet20", "bn_epsilon=-1"), ("resnet20", "bn_epsilon=0"),
        ("googlenet_digits", "bn_epsilon=-1"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_network_is_named(model, word):
    with pytest.raises(
        UserError, match=rf"model\.{word.partition('=')[0]}=\S+: (must|give)|model\.layers=\[\], model\.w"
    ):
        configure(f"model={model}", *f"model.{word}".split())


@pytest.mark.parametrize(
    "words,message",
    [
        ("resnet110 model.projection_kernel=3", "model.projection_kernel=3: has no effect here; it is for model.dim"),
        ("resnet110 model.projection_reads_activated=false", "it is for model.dimension_change=projection"),
        ("resnet110 model.bottleneck_stride=3x3", "it is for model.branch=bottleneck"),
        ("resnet164 model.padding=both", "it is for model.dimension_change=zero_padding"),
        ("resnet164 model.zero_padding_reads_activated=true", "it is for model.dimension_change=zero_padding"),
        ("googlenet_digits model.local_response=true", "it is for model.form=imagenet"),
        ("googlenet_digits model.last_pool=2", "it is for model.form=imagenet"),
        ("xception_digits model.form=imagenet", r"model.widths=\[32, 64, 128\]: has no effect here; it is for model.form=st"),
    ],
)  # fmt: skip
def test_a_setting_that_the_network_does_not_read_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        configure(*f"model={words}".split())


def test_a_published_googlenet_reads_no_widths():
    with pytest.raises(ValueError, match=r"model.widths=\[16, 32\]: has no effect here; it is for model.form=stages"):
        GoogLeNet(name="net", widths=[16, 32])
    with pytest.raises(ValueError, match="model.modules=3: has no effect here"):
        GoogLeNet(name="net", modules=3)


def test_modules_have_as_many_channels_as_they_are_asked_for():
    for width in range(16, 48):
        made = GoogLeNet(name="net", form="stages", widths=[width], modules=2).architecture()
        assert made.stacks[0].filters == width


@pytest.mark.parametrize(
    "words,label",
    [
        ("resnet1202", "resnet1202"), ("resnet1202 model.depth=20", "resnet1202, depth 20"),
        ("resnet110_1layer", "resnet110_1layer"), ("resnext110_digits model.depth=11", "resnext110_digits, depth 11"),
        ("tutorial44", "tutorial44"), ("wrn_16_4", "wrn_16_4"),
        ("wrn_16_4 model.depth=58 model.width_factor=1", "wrn_16_4, depth 58, k 1"),
        ("wrn_16_4 model.width_factor=16", "wrn_16_4, depth 16, k 16"),
    ],
)  # fmt: skip
def test_a_label_tells_networks_of_one_name_apart(words, label):
    assert configure(*f"model={words}".split()).model.label == label


def test_images_that_are_too_small_are_told_the_smallest_that_fit():
    vgg = VGG(name="vgg")
    assert vgg.refusal(31) == "vgg has a layer that sees nothing of images of 31 pixels; it needs at least 32"
    assert vgg.refusal(32) is None


def test_no_size_is_named_where_none_fits(forgotten):
    @dataclass
    class Blind(ModelConfig):
        family: str = "blind"

        def architecture(self):
            return Architecture(Layer(8), (Stage((Unit((Cells(2), Layer(8, 5, pad=0)), stands="never"),)),))

    assert (Blind(name="blind").refusal(99) or "").endswith("of images of 99 pixels; no size fits")
