"""The layers that units are made of: convolution, BN, activation, gate, dropout, change of shape."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from ablations.errors import UserError
from ablations.networks.kernels import remat
from ablations.networks.kernels.batch_norm import batch_norm, normalise
from ablations.networks.kernels.convolution import convolve
from ablations.networks.kernels.relu import relu

INITS = {
    # He et al. 2015, "Delving Deep into Rectifiers"; std sqrt(2 / (k k out)) as in the authors' Torch code.
    "he_fan_out": nnx.initializers.variance_scaling(2.0, "fan_out", "normal"),
    "he_fan_in": nnx.initializers.variance_scaling(2.0, "fan_in", "normal"),
    "glorot_uniform": nnx.initializers.glorot_uniform(),  # Glorot and Bengio 2010; what Keras takes
}
FUNCTIONS = {"relu": relu, "relu6": nnx.relu6, "hardswish": nnx.hard_swish}


class Number(nnx.Variable):
    """A constant of a shortcut, kept as data so that its value is not compiled into the program."""


class Conv(nnx.Module):
    """Convolution with zero padding (k - 1) / 2, or `pad`, on every side: (N, H, W, C) -> (N, H', W', D).

    With the former H' = ceil(H / stride). groups: each filter sees C / groups channels.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        pad: int | None = None,
        bias: bool = False,
        init: str = "he_fan_out",
        rngs: nnx.Rngs,
    ):
        self.stride, self.groups, self.pad = stride, groups, pad
        self.kernel = nnx.Param(INITS[init](rngs.params(), (kernel, kernel, channels // groups, filters)))
        self.bias = nnx.Param(jnp.zeros(filters)) if bias else None

    def __call__(self, x):
        y = convolve(x, self.kernel.astype(x.dtype), self.stride, pad=self.pad, groups=self.groups)
        if self.bias is not None:
            y = y + self.bias.astype(x.dtype).reshape(1, 1, 1, -1)
        return remat.keep(y, "convolution")


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last (Ioffe and Szegedy 2015); statistics in float32.

    group: the number of images that share statistics when training, None for the whole batch. The
        paper's 2 GPUs saw 64 images each.
    mean, variance: (C,), averages over batches. A call in training mode leaves the (biased) ones of its batch here,
        averaged over groups; `training.steps` averages over batches, for all units at once.
    """

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))
        self.shift = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.variance = nnx.BatchStat(jnp.ones(channels))
        self.use_running_average = False
        self.group: int | None = None
        self.epsilon = 1e-5

    def __call__(self, x, *, relu: bool = False):
        """relu: whether a ReLU follows; the two are one kernel."""
        if self.use_running_average:
            y = normalise(x, self.mean[...], self.variance[...], self.scale[...], self.shift[...], self.epsilon)
            return nnx.relu(y) if relu else y
        group = self.group or len(x)
        groups = x.reshape(len(x) // group, group, *x.shape[1:])
        centre = jax.lax.stop_gradient(self.mean[...])
        # The types of what it returns are lost in the decorator's functools.partial.
        y, mean, variance = batch_norm(  # pyright: ignore[reportGeneralTypeIssues]
            groups, self.scale[...], self.shift[...], centre, self.epsilon, relu
        )
        for variable, batch in ((self.mean, mean), (self.variance, variance)):
            # Not `variable[...] = `, in which Flax compares two shardings: slow to trace in a deep network.
            variable.set_value(jax.lax.stop_gradient(batch).mean(0))
        return y.reshape(x.shape)


class Activation(nnx.Module):
    """The sequence of "bn" and "relu" in one place of an activation order. function: what "relu" is in this network."""

    def __init__(self, sequence: Sequence[str], channels: int, function: str = "relu"):
        self.sequence, self.function = tuple(sequence), function
        self.bn = BatchNorm(channels) if "bn" in sequence else None

    def __call__(self, x):
        for kind, before, after in zip(self.sequence, (None, *self.sequence), (*self.sequence[1:], None), strict=False):
            if kind == "bn" and self.bn is not None:
                x = self.bn(x, relu=after == "relu" == self.function)
            elif before != "bn" or self.function != "relu":  # else it is part of the BN
                x = FUNCTIONS[self.function](x)
        return x


class Gate(nnx.Module):
    """g(x) = sigmoid(W_g x + b_g): (N, H, W, C) -> (N, H', W', D) in (0, 1); Sec. 3.1.

    The paper does not say how W_g is initialised: here like every convolution of the network. With two convolutions, W_g reads
    the ReLU of the first one.
    """

    def __init__(
        self,
        channels,
        filters,
        stride,
        *,
        kernel: int,
        bias: float,
        bn: bool,
        convolutions: int,
        init: str = "he_fan_out",
        rngs: nnx.Rngs,
    ):
        two, drawn = convolutions == 2, {"init": init, "rngs": rngs}
        self.first = Projection(channels, filters, stride, kernel=kernel, bn=bn, **drawn) if two else None
        self.conv = Conv(filters if two else channels, filters, kernel, 1 if two else stride, **drawn)
        self.bn = BatchNorm(filters) if bn else None
        self.bias = nnx.Param(jnp.full(filters, bias, jnp.float32)) if not bn else None
        if self.bn is not None:
            self.bn.shift[...] = jnp.full(filters, bias, jnp.float32)

    def __call__(self, x):
        z = self.conv(x if self.first is None else nnx.relu(self.first(x)))
        if self.bn is not None:
            z = self.bn(z)
        if self.bias is not None:
            z = z + self.bias.astype(z.dtype).reshape(1, 1, 1, -1)
        return nnx.sigmoid(z)


class DropoutLayer(nnx.Module):
    """Zeroes each number with probability `rate` when training.

    inverted: divide by 1 - rate when training; otherwise multiply by 1 - rate at test time.
    """

    def __init__(self, rate: float, *, inverted: bool, rngs: nnx.Rngs):
        self.rate = Number(jnp.asarray(rate, jnp.float32))
        self.inverted = inverted
        self.deterministic = False
        self.rngs = rngs.dropout.fork()

    def __call__(self, x):
        keep = 1 - self.rate[...]
        if self.deterministic:
            return x if self.inverted else x * keep.astype(x.dtype)
        mask = remat.keep(jax.random.bernoulli(self.rngs(), keep, x.shape), "mask")
        kept = jnp.where(mask, x, 0)
        return kept / keep.astype(x.dtype) if self.inverted else kept


class Projection(nnx.Module):
    """A convolution that may change the shape of x, followed by BN if `bn`: a shortcut of option B or C."""

    def __init__(self, channels, filters, stride, *, kernel: int, bn: bool, rngs: nnx.Rngs, **design):
        self.conv = Conv(channels, filters, kernel, stride, rngs=rngs, **design)
        self.bn = BatchNorm(filters) if bn else None

    def __call__(self, x):
        x = self.conv(x)
        return x if self.bn is None else self.bn(x)


class ZeroPadding(nnx.Module):
    """Every stride-th pixel, and channels of zeros: option A. If the shape does not change, x itself."""

    def __init__(self, channels, filters, stride, *, padding: str):
        self.stride = stride
        missing = filters - channels
        if missing < 0:
            raise UserError(
                f"a unit makes {filters} channels of {channels}: channels of zeros cannot narrow x; let the widths of the model "
                "grow, choose a projection where it has model.dimension_change, or shortcut=none"
            )
        self.pad = {"end": (0, missing), "both": (missing // 2, missing - missing // 2)}[padding]

    def __call__(self, x):
        x = x[:, :: self.stride, :: self.stride]
        return x if self.pad == (0, 0) else jnp.pad(x, ((0, 0), (0, 0), (0, 0), self.pad))
