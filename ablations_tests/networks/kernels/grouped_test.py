"""Convolutions of groups of channels are those of XLA, with their gradients, and are what a CPU is fast at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from ablations.networks.kernels import placement
from ablations.networks.kernels.convolution import convolve, use_form

CASES = {  # size, kernel, stride, channels, filters, groups
    "depthwise": (8, 3, 1, 6, 6, 6),
    "depthwise, stride 2": (8, 3, 2, 6, 6, 6),
    "depthwise, stride 2, odd map": (7, 3, 2, 6, 6, 6),
    "depthwise 5x5": (8, 5, 1, 6, 6, 6),
    "depthwise 5x5, stride 2": (9, 5, 2, 6, 6, 6),
    "depthwise 1x1": (4, 1, 1, 6, 6, 6),
    "depthwise, kernel larger than map": (2, 5, 1, 6, 6, 6),
    "depthwise, one pixel": (1, 3, 1, 6, 6, 6),
    "two filters a channel": (8, 3, 1, 6, 12, 6),
    "small groups": (8, 3, 1, 24, 24, 6),
    "small groups, stride 2": (7, 3, 2, 24, 24, 6),
    "wide groups": (8, 3, 1, 34, 32, 2),
    "groups 5x5, stride 2": (8, 5, 2, 12, 18, 3),
    "groups 1x1": (4, 1, 1, 12, 18, 3),
    "groups 1x1, stride 2": (5, 1, 2, 12, 18, 3),
    "groups, map of 2x2": (2, 3, 1, 12, 18, 3),
}


def draw(case: str):
    size, kernel, stride, channels, filters, groups = CASES[case]
    random = np.random.default_rng(0)
    shapes = (3, size, size + 1, channels), (kernel, kernel, channels // groups, filters)
    x, w = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return x, w, stride, groups


def lax_convolution(x, w, stride, groups, pad=None):
    pad = len(w) // 2 if pad is None else pad
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), ((pad, pad),) * 2, dimension_numbers=layout, feature_group_count=groups
    )


def assert_same(ours, theirs, x, w):
    """The same function of x and w, with the same gradients by both."""

    def all_of(function):
        y, back = jax.vjp(function, x, w)
        dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
        return y, *back(jnp.asarray(dy))

    for a, b in zip(*jax.device_get(jax.jit(lambda: (all_of(ours), all_of(theirs)))()), strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6 * abs(b).max())


@pytest.mark.parametrize("case,devices", [*((case, 1) for case in CASES), ("depthwise", 2)])
def test_groups_and_their_gradients_are_those_of_lax(case, devices):
    x, w, stride, groups = draw(case)
    with placement.placed("cpu", devices):
        assert_same(
            lambda x, w: convolve(x, w, stride, groups=groups),
            lambda x, w: lax_convolution(x, w, stride, groups),
            x,
            w,
        )


@pytest.mark.parametrize("case", ["depthwise", "small groups"])
def test_groups_in_a_loop(case):
    x, w, _, groups = draw(case)
    w = np.stack([w, 2 * w, -w]) / 8

    def looped(convolution):
        return lambda x, w: jax.lax.scan(lambda x, w: (jnp.tanh(convolution(x, w)), None), x, w)[0]

    ours = looped(lambda x, w: convolve(x, w, groups=groups))
    assert_same(ours, looped(lambda x, w: lax_convolution(x, w, 1, groups)), x, w)


def test_padding_of_ones_own_and_even_kernels():
    x, w, _, _ = draw("small groups")
    for pad, kernel in ((0, w), (3, w), (1, w[:2, :2])):
        np.testing.assert_allclose(
            convolve(x, kernel, 2, pad=pad, groups=6), lax_convolution(x, kernel, 2, 6, pad), atol=1e-5
        )
    np.testing.assert_array_equal(convolve(x, w, pad=1, groups=6), convolve(x, w, groups=6))


def test_sums_of_bfloat16_are_float32():
    x, w, _, groups = draw("depthwise")
    x, w = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)

    @jax.jit
    def rounded(x, w):
        y, back = jax.vjp(lambda x, w: convolve(x, w, groups=groups), x, w)
        return y, *back(y)

    @jax.jit
    def exact(x, w, dy):
        y, back = jax.vjp(lambda x, w: lax_convolution(x, w, 1, groups), x, w)
        return y, *back(dy)

    ours = rounded(x, w)
    wide = [np.asarray(array, np.float32) for array in (x, w, *ours)]
    for one, as_float, expected in zip(ours, wide[2:], exact(*wide[:3]), strict=True):
        assert one.dtype == jnp.bfloat16
        np.testing.assert_allclose(as_float, expected, rtol=2**-8, atol=1e-5)


def groups_in(jaxpr) -> set[int]:
    """The numbers of groups of all convolutions of a program, those in loops too."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            found.add(equation.params["feature_group_count"] * equation.params["batch_group_count"])
        found = found.union(*(groups_in(inner) for inner in jaxprs_in_params(equation.params)))
    return found


@pytest.mark.parametrize("case", ["depthwise, stride 2", "small groups", "groups, map of 2x2"])
def test_only_a_program_for_an_accelerator_has_convolutions_of_groups(case):
    x, w, stride, groups = draw(case)

    def found(platform):
        with placement.placed(platform, 1):  # a new function each time: JAX keeps what it has traced
            program = jax.grad(lambda x, w: convolve(x, w, stride, groups=groups).sum(), (0, 1))
            return groups_in(jax.make_jaxpr(program)(x, w).jaxpr)

    assert found("cpu") <= {1}
    assert groups in found("cuda") and groups in found("tpu")
    with use_form("native"):
        assert groups in found("cpu")
