"""What is kept of a function's results is found by what its arguments hold."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.core.memo import digest, remembered


@dataclass(frozen=True)
class Pair:
    weight: NDArray[np.float64]
    kind: str


def test_equal_arguments_are_computed_once_and_few_results_are_kept() -> None:
    asked = []

    @remembered(2)
    def total(pair: Pair, *, scale: float = 1) -> float:
        asked.append(float(pair.weight[0]))
        return float(pair.weight.sum() * scale)

    def of(first: float) -> Pair:
        return Pair(np.array([first, 1.0]), "relu")

    assert [total(of(1)), total(of(1)), total(of(1), scale=2)] == [2, 2, 4]
    assert asked == [1, 1]
    assert [total(of(1)), total(of(5)), total(of(1)), total(of(1), scale=2)] == [2, 6, 2, 4]
    assert asked == [1, 1, 5, 1]  # scale=2 was asked for longest ago when a third came


def test_an_error_is_not_remembered() -> None:
    @remembered(2)
    def refused(value: int) -> int:
        raise ValueError(value)

    for _ in range(2):
        with pytest.raises(ValueError, match="3"):
            refused(3)


def test_different_values_have_different_digests() -> None:
    array = np.arange(6.0)
    values = [
        array,
        array.reshape(2, 3),
        array.reshape(2, 3).T,
        array.astype(np.float32),
        -array,
        np.array([0.0, -0.0]),
        np.array([0.0, 0.0]),
        np.empty((0, 3)),
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        (),
        ((),),
        ("a", "b"),
        ("ab",),
        ["ab"],
        np.array([(1, 2)], "i4,i4"),
        np.array([(1, 2)], [("x", "i4"), ("y", "i4")]),
        ("a", ("b",)),
        Pair(array, "relu"),
        Pair(array, "sigmoid"),
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(array.reshape(2, 3).T) == digest(np.ascontiguousarray(array.reshape(2, 3).T))


@pytest.mark.parametrize("value", [{1: 2}, {1}, print, np.array([None])])
def test_what_is_not_hashed_by_what_it_holds_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not hashed"):
        digest(value)
