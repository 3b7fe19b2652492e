"""Normalisation, random crops and flips of a batch, inside the compiled step; Sec. 4 and He et al. 2015a, 4.2."""

import jax
import jax.numpy as jnp
import numpy as np

from ablations.data.config import IGNORED


def statistics(images: np.ndarray, normalization: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and divisor of pixels in [0, 1], over the training set (N, H, W, C) uint8.

    "per_pixel_mean": (H, W, C) and 1; "per_channel": (C,) and (C,).
    """
    if normalization == "per_pixel_mean":
        return (images.mean(0, dtype=np.float64) / 255).astype(np.float32), np.ones(1, np.float32)
    pixels = images.reshape(-1, images.shape[-1])
    mean = pixels.mean(0, dtype=np.float64)
    std = np.sqrt(np.maximum((np.square(pixels, dtype=np.float32)).mean(0, dtype=np.float64) - mean**2, 1e-12))
    return (mean / 255).astype(np.float32), (std / 255).astype(np.float32)


def to_unit_interval(images: jax.Array) -> jax.Array:
    """uint8 -> float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def normalise(images: jax.Array, mean: jax.Array, divisor: jax.Array) -> jax.Array:
    """(N, H, W, C) uint8, or float32 in [0, 1] -> float32. A mean image of another size is resized to the images'."""
    if mean.ndim == 3 and mean.shape[:2] != images.shape[1:3]:
        mean = jax.image.resize(mean, images.shape[1:], "linear")
    images = to_unit_interval(images) if images.dtype == jnp.uint8 else images
    shape = (1,) * (images.ndim - mean.ndim) + mean.shape
    return (images - mean.reshape(shape)) / divisor.reshape((1,) * 3 + divisor.shape)


def draw(key: jax.Array, images: int, pad: int, flip: bool) -> tuple[jax.Array, jax.Array]:
    """Draw where to crop, (N, 2) int32 in 0 ... 2 pad, and which images to mirror, (N,) bool."""
    crop, mirror = jax.random.split(key)
    offsets = jax.random.randint(crop, (images, 2), 0, 2 * pad + 1)
    flips = jax.random.bernoulli(mirror, 0.5, (images,)) if flip else jnp.zeros((images,), bool)
    return offsets, flips


def both(key: jax.Array, images: jax.Array, labels: jax.Array, pad: int, flip: bool) -> tuple[jax.Array, jax.Array]:
    """Images with random crops and mirroring, and their labels; label maps (N, H, W) are cropped and mirrored alike."""
    drawn = draw(key, len(labels), pad, flip)
    if labels.ndim > 1:
        labels = augment(labels[..., None], *drawn, pad, fill=IGNORED)[..., 0]
    return augment(images, *drawn, pad), labels


def augment(images: jax.Array, offsets: jax.Array, flips: jax.Array, pad: int, *, fill: int = 0) -> jax.Array:
    """Padding with `fill`, then the crop at `offsets`, then the mirror image if `flips`; shapes are kept."""
    _, height, width, _ = images.shape
    if not pad:  # no crop: nothing to gather
        return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)
    rows = offsets[:, :1] - pad + jnp.arange(height)[None]
    columns = jnp.arange(width)[None]
    columns = offsets[:, 1:] - pad + jnp.where(flips[:, None], width - 1 - columns, columns)
    # Pixels outside of an image are read as `fill`: a TPU would lay padded images out with 3 of its 128 lanes in use.
    rows, columns = jnp.where(rows < 0, height, rows), jnp.where(columns < 0, width, columns)
    # One image at a time, so that XLA sees that no image depends on another, which may be on another device.
    crop = jax.vmap(lambda image, rows, columns: image.at[rows[:, None], columns].get(mode="fill", fill_value=fill))
    return crop(images, rows, columns)
