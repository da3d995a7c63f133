"""Numbers of fewer bits than float32's, and networks whose weights are such numbers."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from mnist_bench.parity._network import Reference, logits_of
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


def variants(network: Reference, rounding: Rounding) -> Iterator[Reference]:
    """Yield a network with rounded weights and biases, and one with rounded weights alone."""
    if isinstance(network, Weights):
        yield from _of_weights(network, rounding)
    else:
        yield network.rounded(rounding)
        yield network.rounded(rounding, matrices=True)


def _of_weights(weights: Weights, rounding: Rounding) -> Iterator[Weights]:
    rounded = [rounding(weight) for weight, _ in weights.layers]
    for biases in ([rounding(bias) for _, bias in weights.layers], [bias for _, bias in weights.layers]):
        yield replace(weights, layers=tuple(zip(rounded, biases, strict=True)))


def explained_by(case: Case, network: Reference, rounding: Rounding | None = None) -> Hits:
    """Return which images another network, or rounded pixels, explain: none, where they explain none of a few."""

    def hits(part: Case) -> Hits:
        rounded = part.images if rounding is None else rounding(part.images.astype(np.float64)).astype(np.float32)
        return part.explained(logits_of(network, rounded))

    if time.monotonic() > case.ends_at or not hits(case.only(FEW)).any():
        return np.zeros(len(case.images), np.bool_)
    return hits(case)


def narrowed(case: Case, roundings: Sequence[Rounding], bits: int) -> Iterator[tuple[str, Hits]]:
    """Yield what may have been rounded to numbers of so many bits after the first, and which images that explains.

    Args:
        case: what is to be explained.
        roundings: in which ways; answers by the first alone.
        bits: of the numbers.
    """
    yield "its answers", answers_have(case, roundings[0], bits)
    if case.reference is None:
        return
    for rounding in roundings:
        for network in variants(case.reference, rounding):
            yield "its weights", explained_by(case, network)
        if case.signature.pixels == "unit":
            yield "its pixels", explained_by(case, case.reference, rounding)


def most(found: Iterator[tuple[str, Hits]]) -> tuple[str, Hits]:
    """Return what explains the most."""
    return max(found, key=lambda one: int(one[1].sum()))


def answers_have(case: Case, rounding: Rounding, bits: int) -> Hits:
    """Return on which images all answers are numbers of so many bits after the first, and near to the reference's."""
    finite = np.asarray(np.isfinite(case.answers).all(1), np.bool_)
    answers = np.where(finite[:, None], case.answers, 0.0).astype(np.float64)
    expected = answered(case.logits, case.output)
    largest = np.maximum(np.abs(expected).max(1), 2.0**-14)
    near = np.abs(answers - expected).max(1) <= SUMS * np.exp2(np.floor(np.log2(largest)) - bits)
    return np.asarray(finite & near & (rounding(answers) == answers).all(1), np.bool_)
