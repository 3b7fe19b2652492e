import numpy as np

from ablations.data import catalogue
from ablations_tests.conftest import configure


def test_real_images_in_a_fixed_stratified_split():
    one, again = catalogue.load(configure().data), catalogue.load(configure().data)
    assert one.train_images.shape == (1437, 8, 8, 1) and one.test_images.shape == (360, 8, 8, 1)
    assert one.train_images.dtype == np.uint8 and one.train_images.max() == 255
    np.testing.assert_array_equal(one.train_images, again.train_images)
    shares = [np.bincount(labels, minlength=10) / len(labels) for labels in (one.train_labels, one.test_labels)]
    assert np.abs(shares[0] - shares[1]).max() < 0.003


def test_they_are_those_of_scikit_learn_split_as_it_splits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits, ours = load_digits(), catalogue.load(configure().data)
    images, labels = np.round(digits.images * 255 / 16)[..., None], digits.target
    train, test = train_test_split(np.arange(1797), test_size=360, stratify=labels, random_state=0)
    np.testing.assert_array_equal(ours.train_images, images[train])
    np.testing.assert_array_equal(ours.test_images, images[test])
    np.testing.assert_array_equal(ours.train_labels, labels[train])
    np.testing.assert_array_equal(ours.test_labels, labels[test])
