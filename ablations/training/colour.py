"""Random colours of a batch, inside the compiled step: Sec. 5 refers to Krizhevsky et al. 2012, 4.1.

Images are (N, H, W, 3): uint8 before; after, float32 in about [0, 1], since nothing is clipped.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ablations.training import augmentation

LIGHTING_STD = 0.1  # Krizhevsky et al. 2012
JITTER = 0.4  # of brightness, contrast and saturation: the authors' Torch code
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in that code


def components(covariance: np.ndarray) -> np.ndarray:
    """The principal components of the pixels' colours, one in each row, times their eigenvalues: (3, 3) float32."""
    values, vectors = np.linalg.eigh(covariance)
    vectors = vectors * np.where(vectors.sum(0) < 0, -1, 1)  # an eigenvector has either sign: always choose the same
    return (vectors * values).T.astype(np.float32)


def lighting(alpha: jax.Array, components: jax.Array) -> jax.Array:
    """What is added to all pixels of an image: alpha_1 lambda_1 p_1 + alpha_2 lambda_2 p_2 + alpha_3 lambda_3 p_3.

    alpha: (N, 3); components: lambda_i p_i as rows; returns (N, 3).
    """
    return alpha @ components


def mean(images: jax.Array) -> jax.Array:
    """The mean colour of uint8 images, (N, 3) in [0, 1]. Sums whole numbers first: a CPU adds several at a time."""
    n, height, width, _ = images.shape
    columns = images.reshape(n, height, width * 3).astype(jnp.int32).sum(1)
    return columns.reshape(n, width, 3).astype(jnp.float32).mean(1) / (255 * height)


def jitter(mean: jax.Array, strengths: jax.Array, order: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Blend each image with black, with its mean grey and with its own greys, in an order drawn for each image.

    Each blend takes a pixel x to A x + b, and so do all three in a row: an image is read only twice, for its mean and
    for the result. mean: (N, 3), over the image's pixels; strengths: (N, 3), the image's share in the blends for
    brightness, contrast and saturation; order: (N, 3), a permutation. Returns A, (N, 3, 3), and b, (N, 3).
    """
    a, b = jnp.broadcast_to(jnp.eye(3), (len(mean), 3, 3)), jnp.zeros_like(mean)
    to_grey = jnp.tile(GREY, (3, 1))
    for position in range(3):
        blend = order[:, position, None]
        share = jnp.take_along_axis(strengths, blend, 1)
        mean_grey = (jnp.einsum("nij,nj->ni", a, mean) + b) @ to_grey.T
        saturation = share[..., None] * jnp.eye(3)[None] + (1 - share[..., None]) * to_grey[None]
        saturated = saturation @ a, jnp.einsum("nij,nj->ni", saturation, b)
        offset = jnp.where(blend == 1, (1 - share) * mean_grey, 0)
        a = jnp.where(blend[..., None] == 2, saturated[0], share[..., None] * a)
        b = jnp.where(blend == 2, saturated[1], share * b + offset)
    return a, b


def augment(key: jax.Array, images: jax.Array, kind: str, components: jax.Array) -> jax.Array:
    """uint8 -> float32; kind: "none", "lighting" (the paper), or "jitter" with lighting (the authors' Torch code)."""
    x = augmentation.to_unit_interval(images)
    if kind == "none":
        return x
    lighting_key, strength_key, order_key = jax.random.split(key, 3)
    count = len(images)
    light = lighting(LIGHTING_STD * jax.random.normal(lighting_key, (count, 3)), components)
    if kind == "lighting":
        return x + light[:, None, None]
    strengths = jax.random.uniform(strength_key, (count, 3), minval=1 - JITTER, maxval=1 + JITTER)
    order = jnp.argsort(jax.random.uniform(order_key, (count, 3)), axis=1)
    return affine(x, *jitter(mean(images), strengths, order), light)


def affine(images: jax.Array, a: jax.Array, b: jax.Array, light: jax.Array | float = 0.0) -> jax.Array:
    """A x + b + light for every pixel x of an image: (N, H, W, 3), (N, 3, 3), (N, 3), (N, 3)."""
    a, b = a[:, None, None], (b + light)[:, None, None]
    return sum(images[..., i, None] * a[..., i] for i in range(3)) + b
