"""The images that runtimes are compared on: the whole test set, and edge cases."""

import numpy as np
from numpy.typing import NDArray

from mnist_bench import data
from mnist_bench.parity._certificate import certify
from mnist_bench.parity._compare import Inputs
from mnist_bench.parity._probes import probes
from mnist_bench.parity._reference import Weights

NOISE_SEED = 0  # fixed: the edge images are the same everywhere


def edge_images() -> dict[str, NDArray[np.float32]]:
    """Return images that no dataset holds, each float32 (1, 28, 28) in [0, 1]."""
    zeros = np.zeros((1, 28, 28), np.float32)
    one_pixel = zeros.copy()
    one_pixel[0, 14, 14] = 1
    noise = np.random.default_rng(NOISE_SEED).random((1, 28, 28), np.float32)
    return {"all zeros": zeros, "all ones": zeros + 1, "one pixel": one_pixel, "random noise": noise}


def build_inputs(dataset: data.Dataset, weights: Weights, *, probing: bool = False) -> Inputs:
    """Put test and edge images together, and probes where they are wanted; evaluate the reference and its bounds."""
    edges = edge_images()
    found = probes(weights) if probing else np.empty((0, 1, 28, 28), np.float32)
    images = np.concatenate([data.to_input(dataset.test.pixels), np.stack(list(edges.values())), found])
    return Inputs(images, dataset.test.labels, tuple(edges), certify(weights, images), probes=len(found))
