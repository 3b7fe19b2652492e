import jax.numpy as jnp
import numpy as np
import optax

from ablations.training.loss import segmentation

RANDOM = np.random.RandomState(0)
LOGITS = jnp.asarray(RANDOM.standard_normal((2, 4, 4, 3)), jnp.float32)
MASKS = RANDOM.randint(0, 3, (2, 4, 4)).astype(np.uint8)


def test_the_loss_is_the_mean_cross_entropy_of_the_pixels():
    loss, wrong = segmentation(LOGITS, MASKS)
    each = optax.softmax_cross_entropy_with_integer_labels(LOGITS, jnp.asarray(MASKS, jnp.int32))
    np.testing.assert_allclose(loss, each.mean(), rtol=1e-6)
    np.testing.assert_allclose(wrong, 2 * (np.asarray(LOGITS).argmax(-1) != MASKS).mean(), rtol=1e-6)


def test_ignored_pixels_count_for_nothing():
    ignoring = MASKS.copy()
    ignoring[0, :2] = 255
    loss, wrong = segmentation(LOGITS, ignoring)
    kept = [segmentation(logits[None], mask[None]) for logits, mask in ((LOGITS[0, 2:], MASKS[0, 2:]),)]
    other = segmentation(LOGITS[1:], MASKS[1:])
    np.testing.assert_allclose(loss, (8 * kept[0][0] + 16 * other[0]) / 24, rtol=1e-6)
    np.testing.assert_allclose(wrong, 2 * (8 * kept[0][1] + 16 * other[1]) / 24, rtol=1e-6)
    loss, wrong = segmentation(LOGITS, np.full_like(MASKS, 255))
    assert (float(loss), float(wrong)) == (0, 0), "and none at all is no division by zero"


def test_of_a_network_whose_maps_shrink_the_middle_of_the_mask_counts():
    assert segmentation(LOGITS[:, 1:3, 1:3], MASKS) == segmentation(LOGITS[:, 1:3, 1:3], MASKS[:, 1:3, 1:3])
