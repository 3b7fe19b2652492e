"""The whole schedule, what weight decay reaches, and SGD against numpy."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from ablations.errors import UserError
from ablations.networks.network import Network
from ablations.training.optimizer import decayed, learning_rates, optimizer
from ablations_tests.conftest import configure


def curve(*overrides):
    recipe = configure(*overrides).recipe
    return np.asarray(jax.jit(jax.vmap(learning_rates(recipe)))(np.arange(recipe.total_steps))), recipe


def test_paper():
    rates, _ = curve("recipe=paper")
    step = np.arange(64_000)
    expected = np.select([step < 400, step < 32_000, step < 48_000], [0.01, 0.1, 0.01], 0.001)
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_torch():
    rates, recipe = curve("recipe=torch")
    epoch = np.arange(164 * 391) // 391
    np.testing.assert_allclose(rates, np.select([epoch < 81, epoch < 122], [0.1, 0.01], 0.001), rtol=1e-5)
    assert recipe.nesterov and recipe.weight_decay_on == "all" and recipe.normalization == "per_channel"


def test_short_is_a_tenth_of_the_paper():
    np.testing.assert_allclose(curve("recipe=short")[0], curve("recipe=paper")[0][::10], rtol=1e-5)


def test_modern():
    rates, recipe = curve("recipe=modern")
    step = np.arange(200 * 391)
    warm = 0.01 + 0.09 * step / 1955
    cosine = 0.05 * (1 + np.cos(np.pi * (step - 1955) / (200 * 391 - 1955)))
    np.testing.assert_allclose(rates, np.where(step < 1955, warm, cosine), atol=1e-6)
    assert recipe.label_smoothing == 0.1 and recipe.nesterov


def test_imagenet():
    rates, recipe = curve("recipe=imagenet")
    epoch = np.arange(90 * 5004) // 5004
    np.testing.assert_allclose(rates, np.select([epoch < 30, epoch < 60], [0.1, 0.01], 0.001), rtol=1e-5)
    assert recipe.bn_statistics == "exact" and recipe.evaluate_every == 5004


def test_the_learning_rate_grows_with_the_batch():
    """Goyal et al. 2017: k times the batch, k times the rate, reached in a straight line from that of one."""
    scaled = ("recipe=imagenet", "recipe.scale_lr_from=256", "recipe.total_steps=900")
    np.testing.assert_allclose(curve(*scaled)[0], curve("recipe=imagenet", "recipe.total_steps=900")[0], rtol=1e-6)
    large = (*scaled, "recipe.batch_size=8192")
    np.testing.assert_allclose(curve(*large)[0], 32 * curve(*scaled)[0], rtol=1e-5)
    gradual = curve(
        *large, "recipe.warmup=linear", f"recipe.warmup_fraction={5 / 90}", f"recipe.warmup_factor={1 / 32}"
    )[0]
    step = np.arange(900)
    expected = np.where(
        step < 50, 0.1 + (3.2 - 0.1) * step / 50, np.select([step < 300, step < 600], [3.2, 0.32], 0.032)
    )
    np.testing.assert_allclose(gradual, expected, rtol=1e-5)


@pytest.mark.parametrize("total", [440, 100])
def test_total_steps_scale_the_schedule(total):
    rates, _ = curve(f"recipe.total_steps={total}")
    step = np.arange(total)
    warming = 0.005 + (0.05 - 0.005) * step / (total / 2)
    expected = np.select([step < total / 2, step < 3 * total / 4, step < 0.9 * total], [warming, 0.05, 0.005], 0.0005)
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "overrides,expected",
    [
        # A drop where the warm-up ends: from 0.01 to a tenth of 0.1.
        (("recipe=paper", "recipe.warmup_fraction=0.5"), {499: 0.01, 500: 0.01, 749: 0.01, 750: 0.001}),
        (("recipe=paper", "recipe.warmup_fraction=0", "recipe.drop_fractions=[0.5,0.5]"), {499: 0.1, 500: 0.001}),
        (("recipe=digits", "recipe.warmup_fraction=0.1", "recipe.drop_fractions=[0.5,0.5004]"), {499: 0.05, 500: 0.0005}),
    ],
)  # fmt: skip
def test_changes_of_the_same_step_all_count(overrides, expected):
    rates, _ = curve(*overrides, "recipe.total_steps=1000")
    np.testing.assert_allclose(rates[[*expected]], [*expected.values()], rtol=1e-5)


@pytest.mark.parametrize(
    "overrides,message",
    [
        (("recipe=paper", "recipe.warmup_factor=0"), r"recipe\.warmup_factor=0: a constant warm-up at a rate of 0"),
        (("recipe=modern", "recipe.warmup_fraction=0.9", "recipe.total_steps=4"), "takes all 4 steps, and none is left"),
    ],
)  # fmt: skip
def test_a_schedule_that_has_no_value_at_some_step_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        configure(*overrides)


def test_a_linear_warm_up_can_begin_at_0():
    assert curve("recipe.warmup_factor=0")[0][0] == 0


def test_cosine():
    rates, _ = curve("recipe.schedule=cosine", "recipe.warmup_fraction=0.1", "recipe.total_steps=1000")
    step = np.arange(1000)
    warm = 0.005 + (0.05 - 0.005) * step / 100
    expected = np.where(step < 100, warm, 0.025 * (1 + np.cos(np.pi * (step - 100) / 900)))
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def reached(shortcut):
    """Which parameters weight decay reaches for each choice of `recipe.weight_decay_on`."""
    config = configure(f"shortcut={shortcut}", "model=resnet164", "model.depth=20")
    network = nnx.eval_shape(
        lambda: Network(
            config.model.architecture(),
            config.activation,
            config.shortcut,
            classes=10,
            image_channels=3,
            rngs=nnx.Rngs(0),
        )
    )
    params = nnx.as_pure(nnx.state(network, nnx.Param))
    return [
        {path: bool(leaf) for path, leaf in nnx.to_flat_state(decayed(params, on, network.is_convolution))}
        for on in ("all", "convolutions", "unit_convolutions")
    ]


@pytest.mark.parametrize("shortcut", ["exclusive_gating", "fixup"])  # a bias, two trained numbers
def test_weight_decay_reaches_what_it_should(shortcut):
    everywhere, convolutions, of_units = reached(shortcut)
    assert all(everywhere.values())
    for path, is_reached in convolutions.items():
        assert is_reached == (path[-1] == "kernel" and path[0] != "head"), path
    for path, is_reached in of_units.items():
        assert is_reached == (path[-1] == "kernel" and path[0] == "stages"), path


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_against_numpy(nesterov):
    """v = m v + (g + d w); w -= lr v, or lr (g + d w + m v) with Nesterov."""
    recipe = configure(f"recipe.nesterov={nesterov}", "recipe.weight_decay=0.1", "recipe.warmup_fraction=0").recipe
    tx = optimizer(recipe, lambda path: True)
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    params = {"kernel": np.float32(w)}
    state = tx.init(params)

    @jax.jit
    def step_by(g, state, params):
        updates, state = tx.update({"kernel": g}, state, params)
        return optax.apply_updates(params, updates), state

    for step in range(5):
        g = np.array([0.3, step - 1.0])
        params, state = step_by(np.float32(g), state, params)
        decayed_g = g + 0.1 * w
        v = 0.9 * v + decayed_g
        w = w - 0.05 * (decayed_g + 0.9 * v if nesterov else v)
        np.testing.assert_allclose(params["kernel"], w, rtol=1e-5)
