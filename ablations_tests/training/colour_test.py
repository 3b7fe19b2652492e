"""Random colours against plain numpy, one image at a time."""

import jax
import numpy as np

from ablations.training import colour

augment = jax.jit(colour.augment, static_argnums=2)
NOTHING = np.zeros((3, 3), np.float32)
GREY = np.array([0.299, 0.587, 0.114])


def images(count=6):
    return np.random.default_rng(0).random((count, 5, 4, 3)).astype(np.float32)


def test_lighting_adds_principal_components():
    """Krizhevsky et al. 2012, 4.1: [p1, p2, p3] [a1 l1, a2 l2, a3 l3]^T is added to each pixel."""
    x, alpha = images(), np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    covariance = np.cov(x.reshape(-1, 3).T)
    components = colour.components(covariance)
    values, vectors = np.linalg.eigh(covariance)
    np.testing.assert_allclose(np.linalg.norm(components, axis=1), values, rtol=1e-5)
    for value, component in zip(values, components, strict=True):
        np.testing.assert_allclose(covariance @ component, value * component, atol=1e-6)
        assert component.sum() > 0
    found = np.asarray(colour.lighting(alpha, components))
    for a, one in zip(alpha, found, strict=True):
        np.testing.assert_allclose(one, (vectors * values) @ (a * np.sign(vectors.sum(0))), atol=1e-6)


def test_jitter_blends_in_the_order_of_each_image():
    x = images()
    strengths = np.random.default_rng(2).uniform(0.6, 1.4, (6, 3)).astype(np.float32)
    order = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    light = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)
    jitter = jax.jit(lambda *given: colour.affine(x, *colour.jitter(*given), light))
    found = np.asarray(jitter(x.mean((1, 2)), strengths, order)) - light[:, None, None]
    for image, strength, of, one in zip(x, strengths, order, found, strict=True):
        for which in of:
            grey = (image @ GREY)[..., None]
            other = [np.zeros_like(grey), np.full_like(grey, grey.mean()), grey][which]
            image = strength[which] * image + (1 - strength[which]) * other
        np.testing.assert_allclose(one, image, atol=1e-5)


def test_what_is_drawn():
    components = np.eye(3, dtype=np.float32)
    x = np.full((4000, 1, 1, 3), 102, np.uint8)
    lit = np.asarray(augment(jax.random.key(0), x, "lighting", components))[:, 0, 0] - 0.4
    assert np.abs(lit.mean(0)).max() < 0.01 and np.abs(lit.std(0) - 0.1).max() < 0.005
    assert np.abs(np.corrcoef(lit.T) - np.eye(3)).max() < 0.06
    bright = np.asarray(augment(jax.random.key(0), x, "jitter", NOTHING))[:, 0, 0, 0] / 0.4
    assert 0.6 <= bright.min() < 0.61 and 1.39 < bright.max() <= 1.4  # grey: only brightness can change it
    assert abs(bright.mean() - 1) < 0.02
    np.testing.assert_allclose(augment(jax.random.key(0), x, "none", components), 0.4, rtol=1e-6)


def test_the_mean_colour():
    x = np.random.default_rng(0).integers(0, 256, (5, 30, 20, 3), np.uint8)
    np.testing.assert_allclose(jax.jit(colour.mean)(x), x.mean((1, 2)) / 255, rtol=1e-6)


def test_all_six_orders_are_drawn_and_each_image_has_its_own(monkeypatch):
    drawn, jitter = [], colour.jitter
    monkeypatch.setattr(colour, "jitter", lambda *given: drawn.append(given) or jitter(*given))
    x = (255 * images(1)).astype(np.uint8).repeat(6000, 0)
    both = jax.jit(lambda key, x: (colour.augment(key, x, "jitter", NOTHING), *drawn[-1][1:]))
    found, strengths, order = map(np.asarray, both(jax.random.key(3), x))
    assert len(np.unique(found[:600].reshape(600, -1).round(4), axis=0)) == 600
    orders, counts = np.unique(order, axis=0, return_counts=True)
    assert len(orders) == 6 and (np.sort(orders, 1) == [0, 1, 2]).all() and (counts > 850).all()
    correlations = np.corrcoef(np.concatenate([strengths, order[:, :2]], 1).T)
    assert np.abs(correlations[:3, 3:]).max() < 0.06, "how much and in which order are drawn apart"
    assert np.abs(correlations[:3, :3] - np.eye(3)).max() < 0.06
