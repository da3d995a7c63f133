"""Images and labels of a dataset, checked at every load.

A dataset is a module in `sets/` with a `load(data_dir)`; or a folder of anybody's own, and its path is the name.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import plugins
from mnist_bench.core.dataset_names import is_folder, shown
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Validation
from mnist_bench.data import sets
from mnist_bench.data._arrays import Dataset, Images, stratified_split
from mnist_bench.data._decoding import SUFFIXES
from mnist_bench.data._nearest import Nearest, nearest, usual_distance
from mnist_bench.data._pictures import Picture, Source, Unreadable, picture, read_pictures
from mnist_bench.data._preparing import Ground

HOLDOUT_SHARE = 12
"""`holdout` keeps one training image in this many: 5,000 of 60,000."""

HOLDOUT_SEED = 0  # fixed, not the run's: every run holds out the same images, so that runs can be compared

__all__ = [
    "SUFFIXES",
    "Dataset",
    "Ground",
    "Images",
    "Nearest",
    "Picture",
    "Source",
    "Unreadable",
    "check_name",
    "load",
    "names",
    "nearest",
    "picture",
    "read_pictures",
    "to_input",
    "training_and_validation",
    "usual_distance",
]


def names() -> tuple[str, ...]:
    """Return the names of all datasets of ours."""
    return plugins.names(sets)


def check_name(name: str) -> None:
    """Raise BadInput where a name is none of ours and no path."""
    if not is_folder(name) and name not in names():
        raise BadInput(f"no dataset {name!r}: choose from {', '.join(names())}, or give the path of a folder of images")


def load(name: str, data_dir: Path | None = None, *, download: bool = True, outputs: int | None = None) -> Dataset:
    """Load a dataset and check its bytes.

    Args:
        name: one of `names()`, or the path of a folder: see docs/data.md.
        data_dir: a folder that is looked into first: with the files in it, in `raw/`, or as torchvision has them
            (`MNIST/raw/…`); it may be read-only. Where a path is not there any more: the folder that holds it now.
        download: fetch what is not on this machine.
        outputs: how many outputs the network has that is to learn it; None where it is not to be learned.

    Raises:
        BadInput: there is no such dataset, or it has more classes than the network has outputs.
        DataDamaged: a file that was found does not hold the right bytes.
        DataUnavailable: the files are not on this machine and could not be downloaded.
    """
    dataset = _load(name, data_dir, download)
    if outputs is not None:
        dataset.check_fits(outputs)
    return dataset


def _load(name: str, data_dir: Path | None, download: bool) -> Dataset:
    if is_folder(name):
        from mnist_bench.data import _own

        return _own.load(name, data_dir)
    dataset: Dataset = plugins.load(sets, name).load(data_dir, download=download)
    return dataset


def to_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map uint8 images (n, 28, 28) to the network's input: float32 (n, 1, 28, 28), pixels / 255 in [0, 1]."""
    return np.divide(pixels[:, None], np.float32(255), dtype=np.float32)


def training_and_validation(dataset: Dataset, validation: Validation) -> tuple[Images, Images]:
    """Return the images to train on and the images to watch after each epoch.

    `test` watches the test set, as the protocol does. `holdout` keeps a twelfth of the training images (5,000 of
    60,000) out of training, stratified by label and always the same ones, so that the test set is touched only once.

    Raises:
        BadInput: there are too few images to hold some of every class out.
    """
    if validation == "test":
        return dataset.train, dataset.test
    labels = dataset.train.labels
    size, counts = len(labels) // HOLDOUT_SHARE, np.bincount(labels)
    if size < np.count_nonzero(counts) or counts[counts > 0].min() == 1:
        raise BadInput(
            f"{shown(dataset.name)} has {len(labels):,} training images, too few to hold one in {HOLDOUT_SHARE} out: "
            f"use --validation test"
        )
    kept, held_out = stratified_split(labels, size, HOLDOUT_SEED)
    return dataset.train.take(kept), dataset.train.take(held_out)
