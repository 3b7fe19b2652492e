"""The rows of a branch, one after another: convolutions with their activations, pools, parallel branches."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from ablations.networks.architecture import (
    Activate,
    Bilinear,
    Cells,
    Drop,
    Layer,
    LocalResponse,
    Parallel,
    Pool,
    Row,
    Up,
    filters,
)
from ablations.networks.layers import Activation, Conv, DropoutLayer
from ablations.networks.pooling import bilinear, cells, pool


class Rows(nnx.Module):
    """Rows of an architecture, (N, H, W, channels) -> (N, H', W', D).

    between, after: the activations after each convolution, and after the last one. activate: those of `Activate`.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        channels: int,
        *,
        between: Sequence[str],
        after: Sequence[str],
        activate: Sequence[str],
        function: str,
        init: str,
        rngs: nnx.Rngs,
    ):
        self.rows = tuple(rows)
        self.convolutions, self.activations, self.extras = nnx.List([]), nnx.List([]), nnx.List([])
        last = max((i for i, row in enumerate(rows) if isinstance(row, Layer | Parallel)), default=None)
        self.ends_in_layer = last is not None and isinstance(rows[last], Layer)  # not in branches
        for i, row in enumerate(rows):
            follow = after if i == last else between
            if isinstance(row, Layer):
                settings = {"groups": row.groups, "pad": row.pad, "bias": row.bias, "init": init}
                self.convolutions.append(Conv(channels, row.filters, row.kernel, row.stride, rngs=rngs, **settings))
                self.activations.append(Activation(follow if row.activated else (), row.filters, function))
                if row.excite:
                    self.extras.append(Excitation(row.filters, row.excite, rngs=rngs))
            elif isinstance(row, Parallel):
                settings = {
                    "between": between,
                    "after": follow,
                    "activate": activate,
                    "function": function,
                    "init": init,
                }
                self.extras.append(Branches(row, channels, rngs=rngs, **settings))
            elif isinstance(row, Up):
                self.extras.append(UpConv(channels, row.filters, bias=row.bias, rngs=rngs))
            elif isinstance(row, Activate):
                self.extras.append(Activation(activate, channels, function))
            elif isinstance(row, Drop):
                self.extras.append(DropoutLayer(row.rate, inverted=True, rngs=rngs))
            channels = filters([row], channels)

    def __call__(self, x):
        layers, extras = iter(zip(self.convolutions, self.activations, strict=True)), iter(self.extras)
        for row in self.rows:
            if isinstance(row, Layer):
                convolution, activation = next(layers)
                x = activation(convolution(x))
                x = next(extras)(x) if row.excite else x
            elif isinstance(row, Pool):
                x = pool(x, row)
            elif isinstance(row, Cells):
                x = cells(x, row.side).astype(x.dtype)
            elif isinstance(row, Bilinear):
                x = bilinear(x)
            elif isinstance(row, LocalResponse):
                x = local_response(x)
            else:
                x = next(extras)(x)
        return x


class Branches(nnx.Module):
    """Rows side by side: their outputs, one after the other along the channels."""

    def __init__(self, parallel: Parallel, channels: int, *, rngs: nnx.Rngs, **settings):
        self.branches = nnx.List([Rows(rows, channels, rngs=rngs, **settings) for rows in parallel.branches])

    def __call__(self, x):
        return jnp.concatenate([branch(x) for branch in self.branches], axis=-1)


class UpConv(nnx.Module):
    """Transposed convolution of 2x2 with stride 2, (N, H, W, C) -> (N, 2 H, 2 W, D): a product for each pixel."""

    def __init__(self, channels: int, filters: int, *, bias: bool, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=2, out_axis=3, batch_axis=(0, 1))
        self.kernel = nnx.Param(init(rngs.params(), (2, 2, channels, filters)))
        self.bias = nnx.Param(jnp.zeros(filters)) if bias else None

    def __call__(self, x):
        n, height, width, _ = x.shape
        y = jnp.einsum("nhwc,ijcd->nhiwjd", x, self.kernel.astype(x.dtype))
        if self.bias is not None:
            y = y + self.bias.astype(x.dtype).reshape(1, 1, 1, 1, 1, -1)
        return y.reshape(n, 2 * height, 2 * width, -1)


class Excitation(nnx.Module):
    """Squeeze-and-excitation: each channel times a number in [0, 1] made from the means of all channels.

    Hu et al. 2017; with ReLU between the linear layers and a hard sigmoid at the end, as in MobileNet v3.
    """

    def __init__(self, channels: int, hidden: int, *, rngs: nnx.Rngs):
        self.squeeze = nnx.Linear(channels, hidden, rngs=rngs)
        self.expand = nnx.Linear(hidden, channels, rngs=rngs)

    def __call__(self, x):
        means = x.mean((1, 2), jnp.float32, keepdims=True)
        return x * nnx.hard_sigmoid(self.expand(nnx.relu(self.squeeze(means)))).astype(x.dtype)


def local_response(x, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0):
    """x / (k + alpha sum of x^2 over `size` neighbouring channels)^beta; Krizhevsky et al. 2012, Sec. 3.3."""
    squares = jnp.pad(jnp.square(x.astype(jnp.float32)), ((0, 0),) * 3 + ((size // 2, size // 2),))
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))
    return x * ((k + alpha * total) ** -beta).astype(x.dtype)
