"""Images and labels of a dataset, checked at every load.

A dataset is a module in `sets/` with a `load(data_dir)`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import plugins
from mnist_bench.core.kinds import Validation
from mnist_bench.data import sets
from mnist_bench.data._arrays import Dataset, Images, stratified_split

HOLDOUT_SHARE = 12
"""`holdout` keeps one training image in this many: 5,000 of 60,000."""

HOLDOUT_SEED = 0  # fixed, not the run's: every run holds out the same images, so that runs can be compared

__all__ = ["Dataset", "Images", "load", "names", "to_input", "training_and_validation"]


def names() -> tuple[str, ...]:
    """Return the names of all datasets."""
    return plugins.names(sets)


def load(name: str, data_dir: Path | None = None, *, download: bool = True) -> Dataset:
    """Load a dataset and check its bytes.

    Args:
        name: one of `names()`.
        data_dir: a torchvision root (`MNIST/raw/…` inside) that is looked into first; it may be read-only.
        download: fetch what is not on this machine.

    Raises:
        BadInput: there is no such dataset.
        DataDamaged: a file that was found does not hold the right bytes.
        DataUnavailable: the files are not on this machine and could not be downloaded.
    """
    dataset: Dataset = plugins.load(sets, name).load(data_dir, download=download)
    return dataset


def to_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map uint8 images (n, 28, 28) to the network's input: float32 (n, 1, 28, 28), pixels / 255 in [0, 1]."""
    return np.divide(pixels[:, None], np.float32(255), dtype=np.float32)


def training_and_validation(dataset: Dataset, validation: Validation) -> tuple[Images, Images]:
    """Return the images to train on and the images to watch after each epoch.

    `test` watches the test set, as the protocol does. `holdout` keeps a twelfth of the training images (5,000 of
    60,000) out of training, stratified by label and always the same ones, so that the test set is touched only once.
    """
    if validation == "test":
        return dataset.train, dataset.test
    kept, held_out = stratified_split(dataset.train.labels, len(dataset.train.labels) // HOLDOUT_SHARE, HOLDOUT_SEED)
    return dataset.train.take(kept), dataset.train.take(held_out)
