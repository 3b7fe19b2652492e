"""All forms of a convolution are one function, and so are their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ablations.networks.kernels import convolution, placement
from ablations.networks.kernels.convolution import convolve, use_form
from ablations_tests import reference


def draw(size, kernel, channels=5, filters=7, images=4):
    rng = np.random.default_rng(size)
    x = rng.normal(size=(images, size, size, channels)).astype(np.float32)
    return x, rng.normal(size=(kernel, kernel, channels, filters)).astype(np.float32)


@pytest.mark.parametrize("form", ["native", "loop", "matrix", "auto"])
@pytest.mark.parametrize(
    "size,kernel,stride", [(8, 3, 1), (2, 3, 1), (1, 3, 1), (8, 1, 1), (8, 1, 2), (8, 3, 2), (7, 3, 2), (9, 7, 2)]
)
def test_forms_against_numpy(form, size, kernel, stride):
    x, w = draw(size, kernel)
    with use_form(form):
        np.testing.assert_allclose(convolve(x, w, stride), reference.conv(x, w, stride), atol=1e-4)


@pytest.mark.parametrize("form", ["loop", "matrix"])
@pytest.mark.parametrize("size,kernel", [(8, 3), (2, 3), (1, 3), (5, 5), (8, 1)])
def test_gradients_are_those_of_the_native_form(form, size, kernel):
    x, w = draw(size, kernel)
    cotangent = np.random.default_rng(9).normal(size=(4, size, size, 7)).astype(np.float32)

    def gradients(form):
        with use_form(form):
            return jax.vjp(convolve, x, w)[1](jnp.asarray(cotangent))

    for ours, native in zip(gradients(form), gradients("native"), strict=True):
        np.testing.assert_allclose(ours, native, atol=1e-4)


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("filters", [convolution.FEW, convolution.FEW + 1])
def test_pairs_of_pixels_only_where_filters_are_few_and_rows_even(width, filters, monkeypatch):
    paired, by_pairs = [], convolution._by_pairs
    monkeypatch.setattr(convolution, "_by_pairs", lambda *arrays: paired.append(1) or by_pairs(*arrays))
    random = np.random.default_rng(0)
    x, w = (random.normal(size=size).astype(np.float32) for size in ((2, 5, width, 3), (3, 3, 3, filters)))
    with use_form("loop"):
        np.testing.assert_allclose(convolve(jnp.asarray(x), jnp.asarray(w)), reference.conv(x, w, 1), atol=1e-4)
    assert bool(paired) == (width == 6 and filters == convolution.FEW)


@pytest.mark.parametrize("size,kernel,images", [(32, 3, 60), (16, 3, 250), (64, 5, 13)])
def test_the_kernel_gradient_of_large_maps(size, kernel, images):
    """Made of some images at a time: also where their number does not divide that of all images."""
    x, w = draw(size, kernel, images=images)
    assert x.size >= convolution.LARGE
    cotangent = np.random.default_rng(9).normal(size=(images, size, size, 7)).astype(np.float32)

    def gradient(form):
        with use_form(form):
            return jax.vjp(lambda w: convolve(x, w), w)[1](jnp.asarray(cotangent))[0]

    np.testing.assert_allclose(gradient("loop"), gradient("native"), atol=1e-2, rtol=1e-4)


def test_with_several_threads_no_convolution_takes_the_form_that_uses_one():
    x, w = draw(16, 3, channels=32, filters=32)
    programs = {
        threads: jax.jit(lambda x, w: convolve(x, w)).lower(x, w).compile(convolution.compiler_options(threads, "cpu"))
        for threads in (1, 2)
    }
    assert not convolution.compiler_options(1, "cpu") and convolution.compiler_options(2, "cpu")
    assert not convolution.compiler_options(2, "gpu")
    assert "ynn" not in programs[2].as_text()
    np.testing.assert_allclose(programs[1](x, w), programs[2](x, w), atol=1e-3)


def test_in_the_loop_form_every_convolution_is_one_that_stays_fast():
    """XLA:CPU's fast kernel takes NHWC with HWIO and no dilation; the native gradient has others."""

    def found(form):
        with use_form(form):
            text = str(jax.make_jaxpr(jax.grad(lambda w, x: convolve(x, w).sum(), argnums=(0, 1)))(w, x))
        plain = "ConvDimensionNumbers(lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2))"
        return text.count("conv_general_dilated"), text.count(plain), text.count("lhs_dilation=(1, 1)")

    x, w = draw(8, 3)
    total, plain, undilated = found("loop")
    assert total == plain == undilated > 0
    total, plain, _ = found("native")
    assert plain < total


def test_no_map_is_transposed_for_the_gradient_of_a_1x1_kernel():
    """It would be written number by number, and computed anew for each."""

    def loss(kernels, x):
        for kernel in kernels:
            x = jax.nn.relu(convolve(x, kernel) * 2 - 1)
        return jnp.sum(jnp.square(x))

    kernels = [jnp.ones((1, 1, 24, 24))] * 3
    program = jax.jit(jax.grad(loss)).lower(kernels, jnp.ones((8, 16, 16, 24))).compile().as_text()
    assert "[2048,24]" in program and "[24,2048]" not in program


def test_a_platform_is_said_for_a_block_only():
    x, w = draw(8, 3, channels=8, filters=8)

    def program():
        return str(jax.make_jaxpr(lambda x, w: convolve(x, w))(x, w))  # a new function: JAX keeps what it has traced

    ours = program()
    with placement.placed("tpu", 1):
        theirs = program()
    assert "custom_vjp_call" in ours and "custom_vjp_call" not in theirs
    assert program() == ours
