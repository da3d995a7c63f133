"""The fixed reference that every runtime is compared with: the network in float64, written in NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation

Array = NDArray[np.float64]
F = TypeVar("F", bound=np.floating[Any])
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


def activate(values: NDArray[F], activation: Activation) -> NDArray[F]:
    """Apply the activation function, in the precision of its argument."""
    if activation == "relu":
        positive: NDArray[F] = np.maximum(values, values.dtype.type(0))
        return positive
    from scipy.special import expit

    activated: NDArray[F] = expit(values)
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
