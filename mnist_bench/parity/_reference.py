"""The fixed reference that every runtime is compared with: the network in float64, written in NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation

Array = NDArray[np.float64]
LAYERS = ("fc1", "fc2", "fc3")


@dataclass(frozen=True)
class Weights:
    """A network's float32 parameters, held exactly in float64.

    `layers` are (weight (outputs, inputs), bias (outputs,)) from first to last.
    """

    layers: tuple[tuple[Array, Array], ...]
    activation: Activation

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], activation: Activation) -> "Weights":
        """Take the parameters of a checkpoint: `fc1.weight` … `fc3.bias`."""
        pairs = ((arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in LAYERS)
        return cls(tuple((w.astype(np.float64), b.astype(np.float64)) for w, b in pairs), activation)


def activate(values: Array, activation: Activation) -> Array:
    """Apply the activation function in float64."""
    if activation == "relu":
        return np.maximum(values, 0.0)
    from scipy.special import expit

    activated: Array = expit(values)
    return activated


def logits(weights: Weights, images: NDArray[np.float32]) -> Array:
    """Evaluate the network in float64 without dropout.

    Args:
        weights: the parameters.
        images: float32 (n, 1, 28, 28), or any (n, …) that flattens to the first layer's inputs.

    Returns:
        float64 (n, classes).
    """
    values = images.reshape(len(images), -1).astype(np.float64)
    for index, (weight, bias) in enumerate(weights.layers):
        if index:
            values = activate(values, weights.activation)
        values = values @ weight.T + bias
    return values
