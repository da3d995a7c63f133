"""What a dataset is once it is loaded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


@dataclass(frozen=True)
class Dataset:
    """A dataset: `sha256` of each part as used, `origin` in words (a folder, or where it is embedded)."""

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    sha256: dict[str, str]
    origin: str


def stratified_split(labels: NDArray[np.uint8], size: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the indices of some labels into the rest and `size` chosen ones, each class by its share; both sorted."""
    from sklearn.model_selection import train_test_split

    rest, chosen = train_test_split(np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels)
    return np.sort(rest), np.sort(chosen)
