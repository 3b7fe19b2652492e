"""Which pixels of noisy digits are ink: segmentation without a download, in a minute.

A composition is four of scikit-learn's 8x8 digits, two by two, repeated in both directions without end; of that, a random
window of 16x16. To this clean image Gaussian noise of standard deviation 0.3 is added (ink is 1, paper 0). A pixel belongs
to class 1 if its clean value is at least one half.

Training compositions are made of the 1,437 training digits, test compositions of the 360 test digits. All are made from
fixed seeds: the same for everyone, and for all seeds of a run.
"""

import numpy as np

from ablations.data import digits
from ablations.data.config import DATASETS, DataConfig
from ablations.data.dataset import Dataset

DIGIT = 8  # pixels
NOISE = 0.3
# uint8 holds -1 ... 2 in 256 steps, more than three standard deviations beyond paper and ink; what lies outside is cut off.
LOWEST, HIGHEST = -1.0, 2.0


def load(config: DataConfig) -> Dataset:
    """12,800 compositions to train on, each once in 400 steps of 32, and 1,000 to test."""
    known, source = DATASETS[config.name], digits.load(DataConfig("digits"))
    images, masks = compositions(np.asarray(source.train_images), known.train, 0)
    tests, test_masks = compositions(np.asarray(source.test_images), known.test, 1)
    return Dataset(config.name, known.classes, images, masks, tests, test_masks)


def compositions(images: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` compositions of digits (N, 8, 8, 1) uint8: (count, 16, 16, 1) uint8, and masks (count, 16, 16) uint8."""
    random = np.random.RandomState(seed)  # RandomState gives the same numbers for good (NEP 19)
    four = images[random.randint(0, len(images), (count, 2, 2)), :, :, 0] / 255
    clean = four.transpose(0, 1, 3, 2, 4).reshape(count, 2 * DIGIT, 2 * DIGIT)
    shifts = random.randint(0, 2 * DIGIT, (count, 2))
    pixels = np.arange(2 * DIGIT)
    rows, columns = ((pixels + shifts[:, [axis]]) % (2 * DIGIT) for axis in (0, 1))
    clean = clean[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    noisy = clean + NOISE * random.standard_normal(clean.shape)
    scaled = (np.clip(noisy, LOWEST, HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
    return np.round(255 * scaled).astype(np.uint8)[..., None], (clean >= 0.5).astype(np.uint8)
