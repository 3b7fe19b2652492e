"""Parameters and multiply-adds of a network, read off the network itself."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import jaxprs_in_params

from ablations.convolution import use_form


def parameters(network: nnx.Module) -> int:
    """Trainable numbers: weights, biases, BN's scale and shift; not BN's running statistics."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.as_pure(nnx.state(network, nnx.Param))))


def macs(network: nnx.Module, image: tuple[int, int, int]) -> int:
    """Multiply-adds of the convolutions and products for one image (H, W, C), forward."""
    graphdef, state = nnx.split(network)

    def forward(state, images):
        model = nnx.merge(graphdef, state)
        model.eval()
        return model(images)

    with use_form("native"):
        jaxpr = jax.make_jaxpr(forward)(state, jax.ShapeDtypeStruct((1, *image), jnp.float32))
    return _macs(jaxpr.jaxpr)


def _macs(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "conv_general_dilated":
            kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
            filters = kernel[params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(out) * math.prod(kernel) // filters
        elif name == "dot_general":
            ((contracted, _), _), left = params["dimension_numbers"], equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
        times = params["length"] if name == "scan" else 1
        total += times * sum(_macs(inner) for inner in jaxprs_in_params(params))
    return total
