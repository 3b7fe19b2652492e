import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ablations.data import catalogue
from ablations.networks.layers import BatchNorm, Conv
from ablations.training import statistics
from ablations.training.steps import Steps
from ablations_tests import reference
from ablations_tests.conftest import configure


def data(n=8):
    return np.random.default_rng(0).normal(2, 3, size=(n, 4, 4, 5)).astype(np.float32)


def test_batch_norm_when_training_and_when_not():
    bn, x = BatchNorm(5), data()
    bn.scale[...], bn.shift[...] = jnp.arange(1.0, 6.0), jnp.arange(5.0)
    np.testing.assert_allclose(bn(x), reference.batch_norm(x, np.arange(1, 6), np.arange(5)), atol=1e-4)
    np.testing.assert_allclose(bn.mean[...], x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(bn.variance[...], x.var((0, 1, 2)), rtol=1e-5)
    bn.mean[...], bn.variance[...] = 0.1 * bn.mean[...], 0.9 + 0.1 * bn.variance[...]
    bn.eval()
    by_running = reference.batch_norm(
        x, np.arange(1, 6), np.arange(5), np.asarray(bn.mean[...]), np.asarray(bn.variance[...])
    )
    np.testing.assert_allclose(bn(x), by_running, atol=1e-4)


@pytest.mark.parametrize("group", [2, 4, 8])
def test_statistics_of_groups(group):
    bn, x = BatchNorm(5), data()
    bn.group = group
    parts = [reference.batch_norm(x[i : i + group], 1, 0) for i in range(0, 8, group)]
    np.testing.assert_allclose(bn(x), np.concatenate(parts), atol=1e-5)
    variances = np.mean([x[i : i + group].var((0, 1, 2)) for i in range(0, 8, group)], axis=0)
    np.testing.assert_allclose(bn.variance[...], variances, rtol=1e-5)


def test_statistics_are_float32_in_bfloat16():
    bn = BatchNorm(1)
    x = jnp.full((64, 32, 32, 1), 1.0, jnp.bfloat16).at[0].set(1.5)
    assert bn(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(bn.mean[...], 1 + 0.5 / 64, rtol=1e-6)


def test_he_normal_counts_outgoing_weights():
    kernel = Conv(16, 64, 3, rngs=nnx.Rngs(0)).kernel[...]
    assert abs(float(kernel.std()) / np.sqrt(2 / (9 * 64)) - 1) < 0.02
    assert abs(float(kernel.mean())) < 0.005


def test_exact_statistics_of_groups_are_those_of_the_training_set():
    """Within a batch, the variance of the means of its groups counts too; of the stem's BN, as it needs no other's."""
    config = configure(
        "model=resnet20", "model.depth=8", "recipe.batch_size=30", "recipe.bn_group=1", "data.train_images=60"
    )
    steps = Steps(config, catalogue.load(config.data))
    state = statistics.exact(steps, steps.init())
    x = (steps.dataset.train_images / 255 - steps.normalization["mean"]) / steps.normalization["divisor"]
    x = reference.conv(x, np.asarray(state.params["stem"]["kernel"]))
    ours = state.others["stem_activation"]["bn"]
    np.testing.assert_allclose(ours["mean"], x.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(ours["variance"], x.var((0, 1, 2)), rtol=1e-4)
