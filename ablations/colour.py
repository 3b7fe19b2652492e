"""Random colours of a batch, inside the compiled step: Sec. 5 refers to Krizhevsky et al. 2012, 4.1.

Images are (N, H, W, 3) float32, pixels in [0, 1] before and about there after: nothing is clipped.
"""

import jax
import jax.numpy as jnp
import numpy as np

LIGHTING_STD = 0.1  # Krizhevsky et al. 2012
JITTER = 0.4  # the authors' Torch code: of brightness, contrast and saturation
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as there


def components(covariance: np.ndarray) -> np.ndarray:
    """The principal components of the pixels' colours, a row each, times their eigenvalues: (3, 3) float32."""
    values, vectors = np.linalg.eigh(covariance)
    vectors = vectors * np.where(vectors.sum(0) < 0, -1, 1)  # a direction has two signs: always the same one
    return (vectors * values).T.astype(np.float32)


def lighting(images: jax.Array, alpha: jax.Array, components: jax.Array) -> jax.Array:
    """Add alpha_1 lambda_1 p_1 + alpha_2 lambda_2 p_2 + alpha_3 lambda_3 p_3 to all pixels of an image.

    alpha: (N, 3); components: lambda_i p_i as rows.
    """
    return images + (alpha @ components)[:, None, None, :]


def jitter(images: jax.Array, strengths: jax.Array, order: jax.Array) -> jax.Array:
    """Blend with black, with the image's mean grey and with its own greys, in the image's order.

    strengths: (N, 3), of the image in its blend for brightness, contrast and saturation; order: (N, 3), a permutation.
    """
    for place in range(3):
        which = order[:, place, None, None, None]
        kept = jnp.take_along_axis(strengths, order[:, place, None], 1)[:, :, None, None]
        greys = (images * GREY.reshape(1, 1, 1, 3)).sum(-1, keepdims=True)
        others = jnp.where(which == 0, 0, jnp.where(which == 1, greys.mean((1, 2), keepdims=True), greys))
        images = kept * images + (1 - kept) * others
    return images


def augment(key: jax.Array, images: jax.Array, kind: str, components: jax.Array) -> jax.Array:
    """kind: "lighting" (the paper's), or "jitter" and then lighting (the authors' Torch code)."""
    if kind == "none":
        return images
    of_lighting, of_strength, of_order = jax.random.split(key, 3)
    count = len(images)
    if kind == "jitter":
        strengths = jax.random.uniform(of_strength, (count, 3), minval=1 - JITTER, maxval=1 + JITTER)
        order = jnp.argsort(jax.random.uniform(of_order, (count, 3)), axis=1)
        images = jitter(images, strengths, order)
    return lighting(images, LIGHTING_STD * jax.random.normal(of_lighting, (count, 3)), components)
