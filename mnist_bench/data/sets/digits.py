"""The handwritten digits inside scikit-learn, scaled up to MNIST's size: works offline, in seconds.

1,797 images of 8 × 8 (test part of the UCI Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak).
"""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.digest import sha256
from mnist_bench.data._arrays import Dataset, Images, stratified_split

TEST_IMAGES, SPLIT_SEED = 360, 0  # a fifth of 1,797
INK_LEVELS = 16  # scikit-learn's pixels count the dark cells of a 4 × 4 square: 0 to 16


def load(_data_dir: Path | None = None, *, download: bool = True) -> Dataset:  # noqa: ARG001 never needed
    """Load the digits: 1,437 training and 360 test images, stratified by label, always the same ones."""
    images = _images()
    train, test = (images.take(part) for part in stratified_split(images.labels, TEST_IMAGES, SPLIT_SEED))
    parts = {"train": train, "test": test}
    sums = {name: sha256(part.pixels.tobytes() + part.labels.tobytes()) for name, part in parts.items()}
    return Dataset("digits", train, test, tuple("0123456789"), sums, "embedded in scikit-learn")


@functools.cache
def _images() -> Images:
    """Return all of them; taking a part of them makes a copy."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Images(_enlarge(bunch.images), bunch.target.astype(np.uint8))


def _enlarge(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale (n, 8, 8) in [0, 16] to uint8 (n, 28, 28) by linear interpolation between pixel centres."""
    from scipy.ndimage import zoom

    larger = zoom(images * 255 / INK_LEVELS, (1, 3.5, 3.5), order=1, mode="nearest", grid_mode=True)
    return np.asarray(np.rint(larger), dtype=np.uint8)
