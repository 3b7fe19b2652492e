"""One convolution, in the form that is fastest on the device that it runs on.

Three forms compute the same function:

- "native": `lax.conv_general_dilated` and its own gradient, for GPU and TPU.
- "loop": the forward pass is native or, with few filters, over pairs of pixels. The backward pass is made of such
  convolutions in NHWC/HWIO, except that the gradient of the kernel for large maps is a convolution along one axis.
  XLA's CPU compiler turns only convolutions of the entry computation into the shape that its fast kernel takes; inside
  a loop the native gradient is 25 to 60 times slower (jax-ml/jax#12868).
- "matrix": a stride-1 convolution of maps of at most 2x2 is one product with a banded matrix made from the
  kernel: such maps are too small for the convolution kernels of the CPU.

In the last two, a 1x1 convolution is a product, too, and convolutions of groups of channels are those of `grouped.py`.
A kernel of even size, or another padding than (k - 1) / 2, is native in all forms: such are found in stems only.

"auto" takes "native" on an accelerator; on a CPU it takes "matrix" for tiny maps, else "loop".
"""

import contextlib
import contextvars

import jax
import jax.numpy as jnp
import numpy as np

from ablations.networks.kernels import grouped, placement

_form = contextvars.ContextVar("form", default="auto")

# Where one form becomes faster than another, measured on a CPU.
FEW = 16  # filters up to which a convolution over pairs of pixels is faster
LARGE = 2**18  # size of x from which a kernel's gradient along one axis, of some images at a time, is faster
PIXELS = 8192  # in the images that such a gradient takes at a time, so that their copies fit into a core's cache
TINY = 2  # width of maps up to which "matrix" is faster


@contextlib.contextmanager
def use_form(form: str):
    """Trace convolutions in this form: "auto", "native", "loop" or "matrix"."""
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def compiler_options(threads: int, platform: str) -> dict[str, str | bool]:
    """The options that let a convolution on a CPU use all threads if there are several.

    XLA's fastest convolutions, those of YNNPACK, run in a single thread (jax 0.10); without them XLA takes Eigen's.
    YNNPACK's matrix products and sums are kept.
    """
    if platform != "cpu" or threads == 1:
        return {}
    return {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"}


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1, *, pad: int | None = None, groups: int = 1) -> jax.Array:
    """Cross-correlation with zero padding of `pad`, or (k - 1) / 2, on every side.

    x: (N, H, W, C); kernel: (k, k, C / groups, D); returns (N, H', W', D), where H' = ceil(H / stride) with the latter
    padding, for which k must be odd. Filter d sees the channels of group d * groups // D.
    """
    form = _form.get()
    if form == "auto":
        form = "loop" if placement.platform() == "cpu" else "native"
        if form == "loop" and max(x.shape[1:3]) <= TINY:
            form = "matrix"
    if pad == kernel.shape[0] // 2:
        pad = None
    if pad is not None or (groups != 1 and (form == "native" or kernel.shape[0] % 2 == 0)):
        return _native(x, kernel, stride, ((pad, pad),) * 2 if pad is not None else None, groups)
    if groups == kernel.shape[-1] == x.shape[-1]:
        return grouped.depthwise(x, kernel)[:, ::stride, ::stride]
    if groups != 1:
        return grouped.in_parts(x, kernel, groups, lambda x, kernel: convolve(x, kernel, stride))
    if form != "native" and kernel.shape[0] == 1:
        return _pointwise(x[:, ::stride, ::stride], kernel[0, 0])
    if form == "native" or stride != 1:
        return _native(x, kernel, stride)
    return _loop(x, kernel) if form == "loop" else _matrix(x, kernel)


def _native(x, kernel, stride=1, pad=None, groups=1):
    pad = pad or ((kernel.shape[0] // 2,) * 2,) * 2
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), pad, dimension_numbers=layout, feature_group_count=groups
    )


@jax.custom_vjp
def _loop(x, kernel):
    return _forward(x, kernel)


def _loop_forward(x, kernel):
    return _forward(x, kernel), (x, kernel)


def _forward(x, kernel):
    k, _, _, filters = kernel.shape
    return _by_pairs(x, kernel) if k == 3 and filters <= FEW and x.shape[2] % 2 == 0 else _native(x, kernel)


def _by_pairs(x, kernel):
    """Take two neighbours in a row as one pixel with twice the channels, under a kernel of 3 x 2 such pixels.

    This is a third more work, but in products wide enough for a CPU's vector units.
    """
    n, height, width, channels = x.shape
    filters = kernel.shape[-1]
    # Pixel a of input pair p (each 0 or 1) meets pixel b of the output pair at tap 2 p + a - b of the kernel.
    pair, pixel, output = np.ogrid[:2, :2, :2]
    tap = jnp.asarray((2 * pair + pixel - output)[..., None] == np.arange(3), kernel.dtype)
    kernel = jnp.einsum("pabj,ijcd->ipacbd", tap, kernel).reshape(3, 2, 2 * channels, 2 * filters)
    edge = jnp.zeros((n, height, 1, channels), x.dtype)
    x = jnp.concatenate([edge, x, edge], axis=2).reshape(n, height, width // 2 + 1, 2 * channels)
    return _native(x, kernel, pad=((1, 1), (0, 0))).reshape(n, height, width, filters)


def _loop_backward(saved, dy):
    x, kernel = saved
    # The cotangent, convolved with the kernel flipped in space and with its channel axes swapped.
    dx = _forward(dy, kernel[::-1, ::-1].swapaxes(2, 3))
    k = kernel.shape[0]
    # A loop over images that lie on several devices would copy all of them to each device.
    if x.size >= LARGE and placement.devices() == 1:
        return dx, _in_parts(x, dy, k).astype(kernel.dtype)
    # Swap images and channels: every tap of the kernel is a sum over N, H, W.
    dk = _native(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), pad=((k // 2,) * 2,) * 2)
    return dx, dk.transpose(1, 2, 0, 3)


def _in_parts(x, dy, k):
    """The gradient of a kernel: dy times x at every tap, summed over images and pixels, some images at a time."""
    n, height, width, _ = x.shape
    images = next(g for g in range(max(1, PIXELS // (height * width)), 0, -1) if n % g == 0)
    parts = tuple(a.reshape(n // images, images, *a.shape[1:]) for a in (x, dy))
    total = jnp.zeros((k, k, x.shape[-1], dy.shape[-1]), jnp.float32)
    return jax.lax.scan(lambda total, part: (total + _by_rows(part[0], part[1], k), None), total, parts)[0]


def _by_rows(x, dy, k):
    """The gradient of a kernel as one convolution along H.

    Its batch is the channels of x, its channels are the images and columns, and its filters are dy shifted by each
    column of the kernel. It runs along one axis because XLA's 2D convolution is two to four times slower here on a CPU.
    """
    n, height, width, channels = x.shape
    x = x.transpose(3, 1, 0, 2).reshape(channels, height, n * width)
    dy = dy.transpose(1, 0, 2, 3)
    edge = jnp.zeros((height, n, k // 2, dy.shape[-1]), dy.dtype)
    dy = jnp.concatenate([edge, dy, edge], axis=2)
    shifted = jnp.concatenate([dy[:, :, k - 1 - j :][:, :, :width] for j in range(k)], axis=-1)
    dk = jax.lax.conv_general_dilated(
        x,
        shifted.reshape(height, n * width, -1),
        (1,),
        ((k // 2, k // 2),),
        dimension_numbers=("NHC", "HIO", "NHC"),
        preferred_element_type=jnp.float32,
    )
    return dk.reshape(channels, k, k, -1).transpose(1, 2, 0, 3)


_loop.defvjp(_loop_forward, _loop_backward)


@jax.custom_vjp
def _pointwise(x, kernel):
    """A convolution with a 1x1 kernel, (C, D)."""
    return x @ kernel


def _pointwise_backward(saved, dy):
    x, kernel = saved
    # The barrier keeps XLA from turning the product round: it would then write one of the two transposed, number by number.
    pixels, cotangents = jax.lax.optimization_barrier((x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])))
    both = (((0,), (0,)), ((), ()))
    dk = jax.lax.dot_general(pixels, cotangents, both, preferred_element_type=jnp.float32)
    return dy @ kernel.T, dk.astype(kernel.dtype)


_pointwise.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), _pointwise_backward)


def _matrix(x, kernel):
    n, height, width, channels = x.shape
    k, _, _, filters = kernel.shape
    # band[v, w, j] = 1 where input column v meets output column w at tap j = v - w + (k - 1) / 2
    tap = np.arange(width)[:, None] - np.arange(width) + k // 2
    band = jnp.asarray(tap[..., None] == np.arange(k), x.dtype)
    matrix = jnp.einsum("ijcd,vwj->ivcwd", kernel, band).reshape(k * width * channels, width * filters)
    rows = jnp.pad(x.reshape(n, height, width * channels), ((0, 0), (k // 2, k // 2), (0, 0)))
    rows = jnp.concatenate([rows[:, i : i + height] for i in range(k)], axis=-1)
    return (rows @ matrix).reshape(n, height, width, filters)
