"""Which images a network gets wrong."""

from mnist_bench.core.types import Predictions


def misclassified(found: Predictions) -> list[int]:
    """Return the indices of the misclassified images, the most confident mistake first."""
    answers = enumerate(zip(found.labels, found.predictions, strict=True))
    wrong = [index for index, (label, prediction) in answers if label != prediction]
    return sorted(wrong, key=lambda index: found.margins[index])
