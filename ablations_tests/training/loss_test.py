import jax
import numpy as np
import optax

from ablations.training import loss as losses

segmentation = jax.jit(losses.segmentation)
RANDOM = np.random.RandomState(0)
LOGITS = RANDOM.standard_normal((2, 4, 4, 3)).astype(np.float32)
MASKS = RANDOM.randint(0, 3, (2, 4, 4)).astype(np.uint8)


def test_the_loss_is_the_mean_cross_entropy_of_the_pixels():
    loss, wrong = segmentation(LOGITS, MASKS)
    each = jax.jit(optax.softmax_cross_entropy_with_integer_labels)(LOGITS, MASKS.astype(np.int32))
    np.testing.assert_allclose(loss, np.mean(each), rtol=1e-6)
    np.testing.assert_allclose(wrong, 2 * (LOGITS.argmax(-1) != MASKS).mean(), rtol=1e-6)


def test_ignored_pixels_count_for_nothing():
    ignoring = MASKS.copy()
    ignoring[0, :2] = 255
    loss, wrong = segmentation(LOGITS, ignoring)
    kept, other = (np.asarray(segmentation(LOGITS[part], MASKS[part])) for part in (np.s_[:1, 2:], np.s_[1:]))
    np.testing.assert_allclose(loss, (8 * kept[0] + 16 * other[0]) / 24, rtol=1e-6)
    np.testing.assert_allclose(wrong, 2 * (8 * kept[1] + 16 * other[1]) / 24, rtol=1e-6)
    loss, wrong = segmentation(LOGITS, np.full_like(MASKS, 255))
    assert (float(loss), float(wrong)) == (0, 0), "and none at all is no division by zero"


def test_of_a_network_whose_maps_shrink_the_middle_of_the_mask_counts():
    assert segmentation(LOGITS[:, 1:3, 1:3], MASKS) == segmentation(LOGITS[:, 1:3, 1:3], MASKS[:, 1:3, 1:3])
