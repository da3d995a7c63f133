"""What is made of a network's answers to a picture."""

import numpy as np
import pytest

from mnist_bench.analysis.prediction import Answer, Likeness, softmax


def test_softmax_has_the_sum_one_however_large_the_logits_are() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1e4, 1e4 - np.log(3.0)], [-1e4, -1e4]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]], rtol=1e-11)


@pytest.mark.parametrize(
    ("shares", "torn"),
    [
        ([0.05, 0.95, 0], []),
        ([0.099, 0.9, 0.001], []),
        ([0.1, 0.9, 0], [1, 0]),
        ([0.3, 0.3, 0.4], [2, 0, 1]),
    ],
)
def test_it_is_torn_where_a_second_class_has_a_tenth(shares: list[float], torn: list[int]) -> None:
    assert Answer("it", np.array(shares)).torn == torn


def test_who_says_nothing_is_not_torn() -> None:
    assert (Answer("it", None, "it died").torn, Answer("it", None, "it died").order) == ([], [])


@pytest.mark.parametrize(("distance", "unlike"), [(8.0, False), (8.01, True)])
def test_it_is_unlike_beyond_what_is_usual(distance: float, unlike: bool) -> None:
    assert Likeness(1, "7", distance, 8.0).is_unlike is unlike
