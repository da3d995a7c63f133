"""Confusions and scores against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import classification_report
from sklearn.metrics import confusion_matrix as expected_matrix

from mnist_bench.analysis.classes import Scores, confusion_matrix, scores


@pytest.mark.parametrize("seed", range(5))
def test_they_are_scikit_learn_s(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(10, size=500)
    predictions = np.where(generator.random(500) < 0.8, labels, generator.integers(10, size=500))
    matrix = confusion_matrix(labels.tolist(), predictions.tolist(), 10)
    assert (matrix == expected_matrix(labels, predictions, labels=range(10))).all()
    expected = classification_report(labels, predictions, output_dict=True)
    for found in scores(matrix, [str(name) for name in range(10)]):
        one = expected[found.name]
        assert found.images == one["support"]
        assert found.errors == pytest.approx((1 - one["recall"]) * one["support"])
        assert (found.recall, found.precision, found.f1) == pytest.approx(
            (one["recall"], one["precision"], one["f1-score"])
        )


def test_what_would_divide_by_nothing_is_left_out() -> None:
    there, never_said, neither = scores(confusion_matrix([0, 1], [0, 0], 3), ["0", "1", "2"])
    assert there == Scores("0", 1, 0, 1.0, 0.5, 2 / 3)
    assert never_said == Scores("1", 1, 1, 0.0, None, 0.0)
    assert neither == Scores("2", 0, 0, None, None, None)
