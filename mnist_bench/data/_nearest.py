"""How unlike an image is all that a network was trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_bench.data._arrays import Dataset, Images

BLOCK = 4096
"""Training images at a time: as float32 they have 13 MB."""
USUAL_SHARE = 0.999
MEASURED_ON = 500
"""So many test images, evenly spaced, where what is usual is not known: all of MNIST's take half a minute."""


@dataclass(frozen=True)
class Nearest:
    """For each of n images the index of the nearest training image, intp (n,), and its distance, float64 (n,).

    The distance is Euclidean over pixels in [0, 1]: from 0 to 28.
    """

    indices: NDArray[np.intp]
    distances: NDArray[np.float64]


def nearest(pixels: NDArray[np.uint8], known: Images) -> Nearest:
    """Find the nearest of some known images to each image, uint8 (n, 28, 28)."""
    asked = _flat(pixels)
    least, indices = np.full(len(asked), np.inf, np.float32), np.zeros(len(asked), np.intp)
    for start in range(0, len(known), BLOCK):
        block = _flat(known.pixels[start : start + BLOCK])
        # |a - b|² without |a|², which is the same for all b.
        squares = np.einsum("ij,ij->i", block, block) - 2 * (asked @ block.T)
        places = squares.argmin(axis=1)
        found = squares[np.arange(len(asked)), places]
        indices = np.where(found < least, start + places, indices)
        least = np.minimum(found, least)
    # Of the difference itself: what is above has lost the digits that tell an image from itself.
    apart = asked.astype(np.float64) - _flat(known.pixels[indices])
    return Nearest(indices, np.linalg.norm(apart, axis=1))


def usual_distance(dataset: Dataset) -> float:
    """Return the distance to the nearest training image within which nearly all test images are, 99.9% of them.

    What the dataset states, or what a part of its test images has.
    """
    if dataset.usual_distance is not None:
        return dataset.usual_distance
    step = -(-len(dataset.test) // MEASURED_ON)
    return measured_distance(dataset.test.pixels[::step], dataset.train)


def measured_distance(pixels: NDArray[np.uint8], known: Images) -> float:
    """Return the least distance within which 99.9% of some images, uint8 (n, 28, 28), have a known image."""
    return float(np.quantile(nearest(pixels, known).distances, USUAL_SHARE, method="higher"))


def _flat(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.divide(pixels.reshape(len(pixels), -1), np.float32(255), dtype=np.float32)
