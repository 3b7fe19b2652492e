import jax
import numpy as np
import pytest

from ablations.training import augmentation

draw = jax.jit(augmentation.draw, static_argnums=(1, 2, 3))
normalise = jax.jit(augmentation.normalise)


def plain(images, offsets, flips, pad):
    out = []
    for image, (top, left), flip in zip(images, offsets, flips, strict=True):
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        crop = padded[top : top + image.shape[0], left : left + image.shape[1]]
        out.append(crop[:, ::-1] if flip else crop)
    return np.stack(out)


@pytest.mark.parametrize("pad,flip", [(0, False), (1, False), (4, True)])
def test_against_plain_numpy(pad, flip):
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    offsets, flips = draw(jax.random.key(0), 64, pad, flip)
    ours = jax.jit(augmentation.augment, static_argnums=3)(images, offsets, flips, pad)
    np.testing.assert_array_equal(ours, plain(images, np.asarray(offsets), np.asarray(flips), pad))
    if pad == 0 and not flip:
        np.testing.assert_array_equal(ours, images)


def test_a_mask_goes_where_its_image_goes():
    """What the crop adds is 0 in an image and ignored in its mask."""
    masks = np.random.RandomState(0).randint(1, 255, (32, 8, 8)).astype(np.uint8)
    images, labels = jax.jit(augmentation.both, static_argnums=(3, 4))(
        jax.random.key(0), masks[..., None], masks, 2, True
    )
    images = np.asarray(images)[..., 0]
    assert (images == 0).any() and (images[:, :, ::-1] != masks).any()
    np.testing.assert_array_equal(labels, np.where(images == 0, 255, images))


def test_offsets_and_flips_are_uniform():
    offsets, flips = map(np.asarray, draw(jax.random.key(0), 81_000, 4, True))
    cells = np.bincount(offsets[:, 0] * 9 + offsets[:, 1], minlength=81)
    assert ((cells - 1000) ** 2 / 1000).sum() < 130  # chi-squared, 80 degrees of freedom: p = 0.0004
    assert abs(flips.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(flips, offsets[:, 0])[0, 1]) < 0.02


def test_the_same_key_the_same_batch():
    one, same, other = (jax.device_get(draw(jax.random.key(k), 100, 4, True)) for k in (5, 5, 6))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert (other[0] != one[0]).any()


def test_normalisation():
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)
    x = images / 255.0
    mean, divisor = augmentation.statistics(images, "per_pixel_mean")
    ours = normalise(images, mean, divisor)
    np.testing.assert_allclose(ours, x - x.mean(0), atol=1e-6)
    mean, divisor = augmentation.statistics(images, "per_channel")
    ours = normalise(images, mean, divisor)
    np.testing.assert_allclose(ours, (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)), atol=1e-5)
