"""Numbers of fewer bits than float32's, and networks whose weights are such numbers."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from mnist_bench.parity import _reference
from mnist_bench.parity._outputs import answered
from mnist_bench.parity._reference import Array, Weights
from mnist_bench.parity.hypotheses._case import Case, Hits

Rounding = Callable[[Array], Array]
FEW = 16
"""Images on which an expensive explanation is tried first: one that explains none of them explains nothing."""

SUMS = 16
"""By so many units in the last place a sum of 784 products may be off that is rounded to few bits after each: the
errors add up as a random walk, to √784 halves of a unit."""


def nearest(bits: int) -> Rounding:
    """Return what rounds float32 numbers to so many bits after the first, halves to even."""

    def rounded(values: Array) -> Array:
        mantissa, exponent = np.frexp(values)
        return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1), np.float64)

    return rounded


def truncated(bits: int) -> Rounding:
    """Return what cuts float32 numbers off after so many bits behind the first."""

    def cut(values: Array) -> Array:
        mantissa, exponent = np.frexp(values)
        return np.asarray(np.ldexp(np.trunc(np.ldexp(mantissa, bits + 1)), exponent - bits - 1), np.float64)

    return cut


def half(values: Array) -> Array:
    """Round numbers to half precision, whose smallest numbers have fewer bits."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float64)


def variants(weights: Weights, rounding: Rounding) -> Iterator[Weights]:
    """Yield a network with rounded weights and biases, and one with rounded weights alone."""
    rounded = [rounding(weight) for weight, _ in weights.layers]
    for biases in ([rounding(bias) for _, bias in weights.layers], [bias for _, bias in weights.layers]):
        yield replace(weights, layers=tuple(zip(rounded, biases, strict=True)))


def explained_by(case: Case, weights: Weights) -> Hits:
    """Return which images a network with other weights explains: none, where it explains none of the first few."""
    few = case.only(FEW)
    if not few.explained(_reference.logits(weights, few.images)).any():
        return np.zeros(len(case.images), np.bool_)
    return case.explained(_reference.logits(weights, case.images))


def most(found: Iterator[Hits]) -> Hits:
    """Return those hits that are the most."""
    return max(found, key=lambda hits: int(hits.sum()))


def answers_have(case: Case, rounding: Rounding, bits: int) -> Hits:
    """Return on which images all answers are numbers of so many bits after the first, and near to the reference's."""
    finite = np.asarray(np.isfinite(case.answers).all(1), np.bool_)
    answers = np.where(finite[:, None], case.answers, 0.0).astype(np.float64)
    expected = answered(case.logits, case.output)
    largest = np.maximum(np.abs(expected).max(1), 2.0**-14)
    near = np.abs(answers - expected).max(1) <= SUMS * np.exp2(np.floor(np.log2(largest)) - bits)
    return np.asarray(finite & near & (rounding(answers) == answers).all(1), np.bool_)
