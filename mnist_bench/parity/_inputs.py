"""The images that runtimes are compared on: the whole test set, and edge cases."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_bench import data
from mnist_bench.core.signature import OURS, Signature
from mnist_bench.parity._assuming import NOTHING, Assumption
from mnist_bench.parity._compare import Inputs
from mnist_bench.parity._network import Reference, bounds_of
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


def build_inputs(
    dataset: data.Dataset,
    reference: Reference,
    *,
    probing: bool = False,
    assumption: Assumption = NOTHING,
    signature: Signature = OURS,
) -> Inputs:
    """Put test and edge images together, and probes where they are wanted; evaluate the reference and its bounds.

    Probes light every unit of the specified network; of others nobody knows how to find them. Under an assumption they
    are the bounds of what is answered then. For a model of another signature images are those that it can be told.

    Raises:
        BadInput: the dataset has more classes than the network has outputs.
    """
    edges = edge_images()
    found = np.empty((0, 1, 28, 28), np.float32)
    if probing and isinstance(reference, Weights):
        found = probes(reference)
    images = np.concatenate([data.to_input(dataset.test.pixels), np.stack(list(edges.values())), found])
    own = OURS if isinstance(reference, Weights) else reference.signature
    images = signature.held(own.held(images))
    # A model that takes bytes makes pixels of them itself, in one rounding or two; unless its reference does so too.
    divided = signature.dtype == "uint8" != own.dtype and assumption.pixels in (None, "unit")
    changed = replace(assumption, pixels="bytes") if divided else assumption
    bounds = bounds_of(reference, images, changed.pixel_errors(images))
    dataset.check_fits(bounds.logits.shape[1])
    inputs = Inputs(images, dataset.test.labels, tuple(edges), bounds, probes=len(found))
    return inputs.under(assumption.output)
