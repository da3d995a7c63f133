"""What a network says to a picture: probabilities, and whether it is torn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Skipped

REFERENCE = "reference (float64)"
TORN_FROM = 0.1
"""A network is torn where a second class has this probability; docs/predict.md has the share of MNIST where it is."""


@dataclass(frozen=True)
class Answer:
    """What a target says to a picture: the probabilities of the classes, float64 (classes,); or why it says nothing."""

    target: str
    probabilities: NDArray[np.float64] | None
    failure: str | None = None

    @property
    def order(self) -> list[int]:
        """The classes, the most probable first; of equal ones the first, as argmax has it."""
        return [] if self.probabilities is None else np.argsort(-self.probabilities, kind="stable").tolist()

    @property
    def torn(self) -> list[int]:
        """The classes between which it is torn, the most probable first; none where one stands alone."""
        if self.probabilities is None:
            return []
        found = [label for label in self.order if self.probabilities[label] >= TORN_FROM]
        return found if len(found) > 1 else []


@dataclass(frozen=True)
class Likeness:
    """The training image nearest to a picture: its index, its class, its distance, and what distance is usual.

    Distances are Euclidean over pixels in [0, 1]; 99.9% of test images are within the usual one.
    """

    index: int
    label: str
    distance: float
    usual: float

    @property
    def is_unlike(self) -> bool:
        """Whether the picture is further from all training images than nearly any test image."""
        return self.distance > self.usual


@dataclass(frozen=True)
class Prediction:
    """What all targets say to one picture: `pixels` uint8 (28, 28), `about` in words what was done to it.

    The first of `answers` is the reference's. `likeness` may be unknown, where the training images are not here.
    """

    name: str
    pixels: NDArray[np.uint8]
    about: Sequence[str]
    classes: Sequence[str]
    answers: Sequence[Answer]
    likeness: Likeness | Skipped

    @property
    def dissenters(self) -> list[Answer]:
        """The answers with another class than the reference's."""
        reference = self.answers[0].order[0]
        return [one for one in self.answers if one.order and one.order[0] != reference]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of the classes, float64 (n, classes), of logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found
