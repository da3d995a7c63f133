"""What a dataset is once it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.dataset_names import shown
from mnist_bench.core.errors import BadInput

SIDE = 28  # pixels of every image, across and down
MOST_LABELS = 256  # a byte each


@dataclass(frozen=True)
class Images:
    """Some images and their labels: `pixels` uint8 (n, 28, 28), `labels` uint8 (n,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.intp]) -> "Images":
        """Return the images at some indices, in that order."""
        return Images(self.pixels[indices], self.labels[indices])


class Parts(NamedTuple):
    """What a folder of anybody's own holds; `remarks` as in `Dataset`."""

    train: Images
    test: Images
    classes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A dataset: `sha256` of each part as used, `origin` in words (a folder, or where it is embedded).

    `remarks` are what whoever uses it should be told, a line each; `usual_distance` is what `data.usual_distance` would
    measure on all test images, where that is known.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    sha256: dict[str, str]
    origin: str
    remarks: tuple[str, ...] = ()
    usual_distance: float | None = None

    def check_fits(self, outputs: int) -> None:
        """Raise BadInput where there are more classes than a network has outputs."""
        if len(self.classes) > outputs:
            raise BadInput(
                f"{shown(self.name)} has {len(self.classes)} classes, and the network has {outputs} outputs: "
                f"use a dataset of at most {outputs} classes"
            )

    def with_classes_of(self, classes: Sequence[str]) -> "Dataset":
        """Number the classes as a network's, where all of them are among these by name; else return it as it is.

        Images of threes and sevens alone are then labelled 3 and 7 for a network of ten digits, not 0 and 1.
        """
        if tuple(classes) == self.classes or not set(self.classes) <= set(classes) or len(set(classes)) < len(classes):
            return self
        places = np.array([classes.index(name) for name in self.classes], np.uint8)
        train, test = (Images(part.pixels, places[part.labels]) for part in (self.train, self.test))
        return replace(self, train=train, test=test, classes=tuple(classes))


def stratified_split(labels: NDArray[np.uint8], size: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the indices of some labels into the rest and `size` chosen ones, each class by its share; both sorted."""
    from sklearn.model_selection import train_test_split

    rest, chosen = train_test_split(np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels)
    return np.sort(rest), np.sort(chosen)
