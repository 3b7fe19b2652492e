"""Handwritten digits at 8x8 pixels, which come with scikit-learn: real images without a download.

1,797 images (Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998): 1,437 to train
and 360 to test, a fixed split with the same share of each class.
"""

import numpy as np

from ablations.data import DataConfig, Dataset


def load(config: DataConfig) -> Dataset:
    """Grey values 0 ... 16 become 0 ... 255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    return Dataset("digits", 10, images[train], labels[train], images[test], labels[test])
