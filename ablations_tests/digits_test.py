import numpy as np

from ablations import data
from ablations_tests.conftest import configure


def test_real_images_in_a_fixed_stratified_split():
    one, again = data.load(configure().data), data.load(configure().data)
    assert one.train_images.shape == (1437, 8, 8, 1) and one.test_images.shape == (360, 8, 8, 1)
    assert one.train_images.dtype == np.uint8 and one.train_images.max() == 255
    np.testing.assert_array_equal(one.train_images, again.train_images)
    shares = [np.bincount(labels, minlength=10) / len(labels) for labels in (one.train_labels, one.test_labels)]
    assert np.abs(shares[0] - shares[1]).max() < 0.003
    together = np.concatenate([one.train_images, one.test_images]).reshape(1797, -1)
    from sklearn.datasets import load_digits

    assert together.sum(dtype=np.int64) == np.round(load_digits().images * 255 / 16).sum()
