"""Parameters, multiply-adds and memory traffic of a network, read off the network itself."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import jaxprs_in_params

from ablations.networks.kernels.convolution import use_form
from ablations.networks.network import Network


def parameters(network: Network) -> int:
    """The number of trainable numbers: weights, biases, BN's scale and shift, but not BN's running statistics."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.as_pure(nnx.state(network, nnx.Param))))


def macs(network: Network, image: tuple[int, int, int]) -> int:
    """Multiply-adds of the convolutions and matrix products in the forward pass for one image (H, W, C)."""
    graphdef, state = nnx.split(network)

    def forward(state, images):
        model = nnx.merge(graphdef, state)
        model.eval()
        return model(images)

    with use_form("native"):
        jaxpr = jax.make_jaxpr(forward)(state, jax.ShapeDtypeStruct((1, *image), jnp.float32))
    return _total(jaxpr.jaxpr, _macs)


def traffic(jaxpr) -> int:
    """Bytes that the convolutions and matrix products of a program read and write, each operand and each result once.

    They must move even if everything in between were fused: a lower bound on a step's traffic.
    """

    def moved_bytes(equation):
        arrays = [*equation.invars, *equation.outvars] if equation.primitive.name in PRODUCTS else []
        return sum(math.prod(array.aval.shape) * array.aval.dtype.itemsize for array in arrays)

    return _total(jaxpr, moved_bytes)


PRODUCTS = ("conv_general_dilated", "dot_general")


def _macs(equation) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        filters = kernel[params["dimension_numbers"].rhs_spec[0]]
        # A convolution with zeros between its pixels multiplies by them, too: they do not count.
        return math.prod(out) * math.prod(kernel) // filters // math.prod(params["lhs_dilation"])
    if name == "dot_general":
        ((contracted, _), _), left = params["dimension_numbers"], equation.invars[0].aval.shape
        return math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
    return 0


def _total(jaxpr, amount: Callable) -> int:
    """The sum of `amount` over all equations; those of a loop's body count as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        total += amount(equation) + times * sum(_total(inner, amount) for inner in jaxprs_in_params(equation.params))
    return total
