import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from ablations.api.configuration import settings_of
from ablations.errors import UserError
from ablations.networks import count
from ablations.networks.families.unet import UNet
from ablations.networks.network import Network
from ablations_tests.conftest import configure
from ablations_tests.networks.count_test import abstract

# Ronneberger et al. 2015; milesial/Pytorch-UNet, built and counted; ours. Overrides, image, parameters, multiply-adds.
COUNTS = [
    (["model=unet_paper"], (572, 572, 1), 31_030_658, 150_428_424_448),
    (["model=unet_paper", "model.padded=true"], (512, 512, 1), 31_030_658, 192_384_335_872),
    (["model=unet"], (512, 512, 3), 31_037_698, 192_686_325_760),
    (["model=unet"], (512, 512, 1), 31_036_546, 192_384_335_872),
    (["model=unet_bilinear"], (512, 512, 3), 17_263_042, 159_937_200_128),
    (["model=unet_digits"], (16, 16, 1), 482_466, 8_990_720),
]
DIGITS = ("model=unet_digits", "data=digits_mask", "recipe=digits_mask")


def masked(*overrides):
    """Overrides with a data set of masks that the network accepts."""
    return [
        "data=mask_folder",
        "data.root=nowhere",
        *(["data.crop=572"] if "paper" in overrides[0] else []),
        *overrides,
    ]


@pytest.mark.parametrize("overrides,image,parameters,macs", COUNTS)
def test_counts(overrides, image, parameters, macs):
    network = abstract(
        *masked(*overrides), *(["data.crop=512"] if image[0] == 512 else []), classes=2, channels=image[-1]
    )
    assert count.parameters(network) == parameters
    assert count.macs(network, image) == macs


def test_addition_has_fewer_parameters():
    assert count.parameters(abstract(*DIGITS, "model.join=add", classes=2, channels=1)) == 434_082


def built(config):
    sizes = {"classes": 2, "image_channels": 1, "rngs": nnx.Rngs(0)}
    return Network(config.model.architecture(), config.activation, config.shortcut, **sizes)


def test_the_paper_s_images_of_572_pixels_give_388():
    config = configure(*masked("model=unet_paper"))
    shape = jax.eval_shape(lambda: built(config)(jnp.zeros((1, 572, 572, 1)))).shape
    assert shape == (1, 388, 388, 2)


def test_what_stands_on_the_long_skips_and_nowhere_else():
    network = abstract(*DIGITS, "shortcut=conv1x1", classes=2, channels=1)
    kinds = [(stage.first.long, stage.first.shortcut.kind.__name__) for stage in network.stages]
    assert kinds == [(False, "NoShortcut")] * 4 + [(True, "Conv1x1"), (False, "NoShortcut")] * 3


@pytest.mark.parametrize("shortcut", ["identity", "none"])
def test_the_skips_carry_the_maps_of_the_way_down_or_nothing(shortcut):
    config, seen = configure(*DIGITS, "model.widths=[2,4]", f"shortcut={shortcut}"), []

    def without_them(unit, x, _):
        if unit.long:
            seen.append(x[0].shape)
            x = (jnp.zeros_like(x[0]), x[1])
        return unit(x), None

    @jax.jit
    def both():
        network = built(config)
        network.eval()
        image = jax.random.normal(jax.random.key(1), (1, 8, 8, 1))
        return network(image), network.classify(network.walk(network.embed(image), without_them)[0])

    whole, cut = both()
    assert seen == [(1, 8, 8, 2)]
    assert bool(jnp.array_equal(whole, cut)) == (shortcut == "none")


@pytest.mark.parametrize(
    "settings,side,message",
    [
        ({}, 570, r"halves its maps 4 times, .* 570 .*; the nearest sides that fit: 560 and 576"),
        ({"padded": False}, 570, "the nearest sides that fit: 556 and 572"),
        ({"widths": [4, 8]}, 1, "the nearest sides that fit: 2"),
        ({"padded": False}, 16, "the nearest sides that fit: 188"),
    ],
)
def test_a_side_that_does_not_fit_names_the_nearest(settings, side, message):
    assert re.search(message, UNet(name="net", **settings).refusal(side) or "")


def test_sides_that_fit_are_those_whose_maps_are_even():
    padded, paper = UNet(name="net"), UNet(name="net", padded=False)
    assert [side for side in range(1, 70) if padded.refusal(side) is None] == [16, 32, 48, 64]
    assert [side for side in range(1, 220) if paper.refusal(side) is None] == [188, 204]


@pytest.mark.parametrize(
    "overrides,message",
    [
        (["data=digits_mask"], "model=resnet110 gives one class for an image, but data=digits_mask .*as model=unet"),
        (["model=unet_digits"], "but data=digits has one class for an image: .*data=digits_mask or mask_folder"),
        ([*DIGITS, "model.widths=[1,1,1,1,1,1]"], "data=digits_mask: unet_digits halves its maps 5 times"),
        ([*DIGITS, "recipe.probe_every=1"], "recipe.probe_every=1: a long skip reads two maps"),
        ([*DIGITS, "model.widths=[4]"], r"model.widths=\[4\]: give two or more"),
        ([*DIGITS, "model.join=times"], "model.join=times: legal are add, concatenate"),
        ([*DIGITS, "model.up=cubic"], "model.up=cubic: legal are transposed, bilinear"),
    ],
)
def test_what_is_refused_before_anything_is_made(overrides, message):
    with pytest.raises(UserError, match=message):
        configure(*overrides)


def test_a_command_chooses_the_order_and_the_shortcut_over_the_network_s_file():
    config = configure(*DIGITS, "shortcut=dropout", "activation=full_preactivation")
    assert (config.shortcut.name, config.activation.name) == ("dropout", "full_preactivation")
    assert configure("data=digits_mask", "model=unet_digits").activation.name == "original"


@pytest.mark.parametrize("model,crop", [("unet_paper", 572), ("unet", 64)])
def test_the_settings_of_a_configuration_make_it_again(model, crop):
    """Also if its choices alone are no run: no folder is named, and the usual images do not fit the paper's network."""
    config = configure(f"model={model}", "data=mask_folder", "data.root=a", f"data.crop={crop}", "data.values=[0,1,2]")
    words = settings_of(config)
    assert configure(*words) == config and 'data.root="a"' in words
