"""Which classes are taken for which, from labels and predictions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.dataset_names import output_names
from mnist_bench.core.types import Record


class Scores(NamedTuple):
    """How well a class is told from the others; shares are None where they would divide by nothing.

    `recall` is the share of its images that are predicted so, `precision` the share of what is predicted so that is
    of the class, `f1` their harmonic mean (van Rijsbergen 1979).
    """

    name: str
    images: int
    errors: int
    recall: float | None
    precision: float | None
    f1: float | None


def confusion_matrix(labels: Sequence[int], predictions: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Count images by label (rows) and prediction (columns): int64 (classes, classes).

    scikit-learn has this and the scores below, but its import takes longer than all the rest of showing a report.
    """
    pairs = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confusions(record: Record) -> NDArray[np.int64]:
    """Count a finished run's test images by class and predicted class; see `confusion_matrix`."""
    assert record.final
    found = record.final.predictions
    return confusion_matrix(found.labels, found.predictions, len(names(record)))


def names(record: Record) -> tuple[str, ...]:
    """Name the classes of a finished run, and the outputs beyond them that it predicted."""
    assert record.final
    return output_names(record.dataset.classes, max(record.final.predictions.predictions) + 1)


def confused_pairs(record: Record) -> list[tuple[int, int, int]]:
    """Return (class, predicted class, images) of every confusion of a finished run, the most frequent first."""
    matrix = confusions(record)
    pairs = [(int(i), int(j), int(matrix[i, j])) for i, j in np.argwhere(matrix) if i != j]
    return sorted(pairs, key=lambda pair: -pair[2])


def scores(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[Scores]:
    """Score every class by a confusion matrix."""
    right, there, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        Scores(
            name=name,
            images=int(there[place]),
            errors=int(there[place] - right[place]),
            recall=_share(right[place], there[place]),
            precision=_share(right[place], said[place]),
            f1=_share(2 * right[place], there[place] + said[place]),
        )
        for place, name in enumerate(classes)
    ]


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
