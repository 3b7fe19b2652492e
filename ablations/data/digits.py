"""Handwritten digits at 8x8 pixels, which come with scikit-learn: real images without a download.

1,797 images (Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998): 1,437 to train
and 360 to test, a fixed split with the same share of each class, in the order of `digits_split.csv`
(`sklearn.model_selection.train_test_split`, test_size=360, stratified, random_state=0).
"""

from importlib import util
from pathlib import Path

import numpy as np

from ablations.data.config import DataConfig
from ablations.data.dataset import Dataset
from ablations.errors import UserError

SPLIT = Path(__file__).with_name("digits_split.csv")


def load(config: DataConfig) -> Dataset:
    """Grey values 0 ... 16 become 0 ... 255."""
    # Read the file alone: importing scikit-learn takes as long as importing JAX.
    sklearn = util.find_spec("sklearn")
    if sklearn is None or sklearn.origin is None:
        raise UserError("data=digits needs scikit-learn: pip install scikit-learn")
    file = Path(sklearn.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.int32)
    images = np.round(table[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    labels = table[:, -1]
    train, test = (np.array(line.split(",")[1:], int) for line in SPLIT.read_text().splitlines())
    return Dataset("digits", 10, images[train], labels[train], images[test], labels[test])
