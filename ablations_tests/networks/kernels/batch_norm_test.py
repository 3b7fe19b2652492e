"""BN's kernel: its gradient is that of its equation on every platform, and one pass is as exact as two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ablations.networks.kernels import placement
from ablations.networks.kernels.batch_norm import batch_norm

PLATFORMS = ("cpu", "tpu", "gpu")  # each has a form of its own; all of them compute on this machine


def data(*shape, mean=2.0, std=3.0):
    return np.random.default_rng(0).normal(mean, std, size=shape).astype(np.float32)


def plain(x, scale, shift, relu):
    """The equation, to be differentiated automatically; x: (groups, ..., C)."""
    axes = tuple(range(1, x.ndim - 1))
    wide = x.astype(jnp.float32)
    mean, variance = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    align = (1,) * (x.ndim - 1) + (-1,)
    y = ((wide - mean) / jnp.sqrt(variance + 1e-5) * scale.reshape(align) + shift.reshape(align)).astype(x.dtype)
    return jax.nn.relu(y) if relu else y


FORMS = [(1, "cpu"), (2, "gpu"), (4, "tpu"), (1, "tpu"), (1, "gpu")]
TYPES = {"float32": 2e-5, "bfloat16": 0.06}  # with the tolerance
# Of a form, a type and a ReLU each pair.
CASES = [(*form, dtype, (i + j) % 2 == 1) for i, form in enumerate(FORMS) for j, dtype in enumerate(TYPES)]


@pytest.mark.parametrize("groups,platform,dtype,relu", CASES)
def test_the_gradient_is_that_of_the_equation(groups, platform, dtype, relu):
    x = jnp.asarray(data(groups, 8 // groups, 4, 4, 5), dtype)
    dy = jnp.asarray(np.random.default_rng(1).normal(size=x.shape), dtype)
    scale, shift, centre = (np.linspace(*ends, 5, dtype=np.float32) for ends in ((0.5, 2), (-1, 1), (1.5, 1.5)))

    @jax.jit
    def both(x, scale, shift, dy):
        functions = (lambda *given: batch_norm(*given, centre, 1e-5, relu)[0]), (lambda *given: plain(*given, relu))
        pairs = (jax.vjp(function, x, scale, shift) for function in functions)
        return [(y, *pull(dy)) for y, pull in pairs]

    with placement.placed(platform, 1):
        ours, theirs = both(x, scale, shift, dy)
    for our, expected in zip(ours, theirs, strict=True):
        assert our.dtype == expected.dtype
        our, expected = (np.asarray(array, np.float32) for array in (our, expected))
        tolerance = TYPES[dtype]
        np.testing.assert_allclose(our, expected, atol=tolerance * abs(expected).max(), rtol=tolerance)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_one_pass_about_the_running_mean_is_as_exact_as_two(platform):
    """Against float64; the running mean is off by a whole standard deviation."""

    @jax.jit
    def moments(x, centre):
        return batch_norm(x, jnp.ones(3), jnp.zeros(3), centre, 1e-5)[1:]

    for mean, std in ((0, 1), (1000, 1), (-5000, 0.1), (3, 1e-3)):
        x = data(2, 32, 8, 8, 3, mean=mean, std=std)
        with placement.placed(platform, 1):
            means, variances = moments(x, np.full(3, mean + std, np.float32))
        wide = x.astype(np.float64)
        np.testing.assert_allclose(means, wide.mean((1, 2, 3)), rtol=1e-6, atol=5e-6 * std)
        np.testing.assert_allclose(variances, wide.var((1, 2, 3)), rtol=1e-5)


def test_a_variance_is_never_negative():
    """Where the running mean is far away, as before the first step, rounding may leave less than nothing."""
    x = data(1, 64, 8, 8, 32, mean=3000, std=0.01)
    y, _, variances = batch_norm(x, jnp.ones(32), jnp.zeros(32), jnp.zeros(32), 1e-5)
    assert (variances >= 0).all() and (variances == 0).any() and np.isfinite(y).all()


@pytest.mark.parametrize("relu", [False, True])
def test_the_backward_pass_keeps_one_map(relu):
    x = jnp.asarray(data(1, 8, 4, 4, 5))
    _, backward = jax.vjp(lambda x: batch_norm(x, jnp.ones(5), jnp.zeros(5), jnp.zeros(5), 1e-5, relu)[0], x)
    assert [leaf.shape for leaf in jax.tree.leaves(backward) if leaf.size >= x.size] == [x.shape]


def test_a_gpu_computes_both_moments_in_one_reduction():
    def reductions(platform):
        with placement.placed(platform, 1):
            jaxpr = jax.make_jaxpr(lambda x: batch_norm(x, jnp.ones(5), jnp.zeros(5), jnp.zeros(5), 1e-5)[0])
            return str(jaxpr(jnp.zeros((1, 8, 4, 4, 5)))).count("reduce")

    assert reductions("gpu") == 1 and reductions("cpu") == 2
