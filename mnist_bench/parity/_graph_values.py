"""Values on their way through a graph: the reference's, and how far those of a float32 runtime can be from them.

The derivation stands in `docs/certificate.md`, under "Any network"; the symbols here are its symbols. The first axis of
every array is that of the images; a constant has one there, which stands for all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.parity._certificate import LARGEST, OUTWARD, TINY, U32, U64, gamma
from mnist_bench.parity._reference import Array

Change = Callable[[NDArray[Any]], NDArray[Any]]
Multiply = Callable[[Array, Array], Array]
Doubts = frozenset[tuple[int, str]]
"""Nodes that nothing is known of, by their place in the graph, and what to say of them."""

UNASKED: Doubts = frozenset({(-1, "")})
"""Where only the reference's values are wanted."""

MOST_ROUNDINGS = 2**20
HALF, SINGLE, DOUBLE = 16, 32, 64
"""Bits of the floating-point types."""


class NoBound(Exception):
    """Of what a runtime makes of these values nothing is known here."""


@dataclass(frozen=True)
class Sum:
    """What a value is the sum of, as long as a runtime may regroup its terms: constants times values before it.

    `magnitude`, of the value's shape: no sum of the terms' magnitudes exceeds it, in any runtime; `roundings`: no term
    passes through more of them; `passed`, of the value's shape: what the errors of the values before it come to, None
    where they are exact; `largest` float64 (images,): more than any factor, product of constants, or partial sum.
    """

    magnitude: Array
    roundings: int
    passed: Array | None
    largest: Array

    @property
    def rounding(self) -> Array:
        """The part of the errors that arises here, with what underflows; infinite where float32 may overflow."""
        k, largest = self.roundings, along(self.largest, self.magnitude.ndim)
        if k > MOST_ROUNDINGS:
            raise NoBound
        found = (gamma(k, U32) + gamma(k, U64)) * outward(k) * self.magnitude + k * k * TINY * largest
        if self.magnitude.max(initial=0) < LARGEST and largest.max(initial=0) < LARGEST:
            return np.asarray(found)
        return np.where((self.magnitude < LARGEST) & (largest < LARGEST), found, np.inf)

    @property
    def errors(self) -> Array:
        """How far a runtime's value may be off."""
        rounding = self.rounding
        return rounding if self.passed is None else rounding + self.passed * outward(self.roundings)

    def map(self, change: Change) -> "Sum":
        """Return the same of elements in another order or shape."""
        passed = None if self.passed is None else change(self.passed)
        return replace(self, magnitude=change(self.magnitude), passed=passed)


@dataclass(frozen=True)
class Last:
    """A dense layer whose output a value is: `errors` (…, inputs) of its inputs, `weight` (outputs, inputs)."""

    errors: Array
    weight: Array


@dataclass(frozen=True)
class Value:
    """A tensor of a graph for some images.

    `values` (images, …): the reference's, float64 or integers; `own` of the same shape: by how much a runtime's may
    differ, None where they are the same; `sum` instead of that where the value is a sum; `last` where that is a dense
    layer's; `constant`: it depends on no image; `bits` of its floating-point type; `doubts`: why nothing is known of a
    runtime's values.
    """

    values: NDArray[Any]
    own: Array | None = None
    sum: Sum | None = None
    last: Last | None = None
    constant: bool = False
    bits: int = SINGLE
    doubts: Doubts = frozenset()

    @cached_property
    def errors(self) -> Array | None:
        """By how much a runtime's values may differ; None where they are the same."""
        return self.sum.errors if self.sum else self.own

    @property
    def is_exact(self) -> bool:
        """Whether it is a constant that every runtime has the same."""
        return self.constant and not self.doubts and self.sum is None and self.own is None

    def map(self, change: Change) -> "Value":
        """Return the same elements in another order or shape."""
        own = None if self.own is None else change(self.own)
        return replace(self, values=change(self.values), own=own, sum=self.sum and self.sum.map(change))


def fixed(values: Any) -> Value:
    """Return a constant: (…) becomes (1, …)."""
    return Value(np.asarray(values)[None], constant=True)


def along(per_image: Array, rank: int) -> Array:
    """Make an axis of images, (images,), fit arrays of a rank."""
    return per_image.reshape(-1, *[1] * (rank - 1))


def outward(operations: int) -> float:
    """Return what covers the rounding of the bounds themselves: float64 sums of so many non-negative terms."""
    return max(OUTWARD, 1 + operations * 2.0**-51)


def most(values: NDArray[Any]) -> Array:
    """Return the largest of each image, of values that are not negative: float64 (images,)."""
    return np.asarray(values.reshape(len(values), -1).max(1, initial=0), np.float64)


def reach(value: Value) -> Array:
    """Return the largest magnitude that a runtime's values may have."""
    size = np.abs(value.values)
    return np.asarray(size if value.errors is None else size + value.errors, np.float64)


def zero_or(errors: Array | None, values: NDArray[Any]) -> Array:
    """Return errors as an array where they are None too."""
    return np.zeros(values.shape) if errors is None else errors


def doubts_of(*values: Value | None) -> Doubts:
    """Return all doubts of some values."""
    return frozenset().union(*(value.doubts for value in values if value is not None))


def terms_of(value: Value) -> Sum:
    """Return the sum that a value is; one of a single term where it is none."""
    if value.sum:
        return value.sum
    size = reach(value)
    return Sum(size, 0, value.errors, 4 + most(size))


def aligned(one: Value, other: Value) -> tuple[Value, Value]:
    """Give both the same rank, as NumPy does it for the axes behind that of the images."""
    rank = max(one.values.ndim, other.values.ndim)

    def widened(value: Value) -> Value:
        missing = [1] * (rank - value.values.ndim)
        return value.map(lambda array: array.reshape(len(array), *missing, *array.shape[1:])) if missing else value

    return widened(one), widened(other)


def plus(one: Value, other: Value) -> Value:
    """Add two values."""
    if one.constant and not other.constant:
        one, other = other, one
    last = one.last if other.is_exact else None
    one, other = aligned(one, other)
    values = one.values + other.values
    if doubts := doubts_of(one, other):
        return Value(values, doubts=doubts)
    first, second = terms_of(one), terms_of(other)
    magnitude = first.magnitude + second.magnitude
    if first.roundings and second.roundings:
        # What is rounded already may be where the other's sum begins: it passes through those roundings too.
        magnitude = magnitude + np.maximum(reach(one), reach(other))
    total = Sum(
        magnitude,
        max(first.roundings, second.roundings) + 1,
        _both(first.passed, second.passed, magnitude.shape),
        first.largest + second.largest,
    )
    return Value(values, sum=total, last=last if values.shape == one.values.shape else None)


def _both(one: Array | None, other: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Add what may be None."""
    if one is None or other is None:
        only = other if one is None else one
        return None if only is None else np.broadcast_to(only, shape)
    return one + other


def minus(value: Value) -> Value:
    """Return the negative of a value, which is exact."""
    return replace(value, values=-value.values, last=None)


def times(one: Value, other: Value) -> Value:
    """Multiply two values, element by element."""
    if one.constant and not other.constant:
        one, other = other, one
    one, other = aligned(one, other)
    values = one.values * other.values
    if doubts := doubts_of(one, other):
        return Value(values, doubts=doubts)
    total, size = terms_of(one), reach(other)
    magnitude = total.magnitude * size
    passed = None if total.passed is None else total.passed * size
    if other.errors is not None:
        passed = _both(passed, np.abs(one.values) * other.errors, magnitude.shape)
    return Value(values, sum=Sum(magnitude, total.roundings + 1, passed, _grown(total, size)))


def _grown(total: Sum, size: Array) -> Array:
    """Return more than any factor or partial sum where terms are multiplied by what has some size at most."""
    return np.asarray((total.largest + most(total.magnitude) + 1) * (most(size) + 1), np.float64)


def over(one: Value, other: Value) -> Value:
    """Divide by an exact constant, or multiply by its rounded reciprocal."""
    doubts = doubts_of(one)
    if not other.is_exact:
        raise NoBound
    one, other = aligned(one, other)
    values = one.values / other.values
    if doubts:
        return Value(values, doubts=doubts)
    total, size = terms_of(one), 1 / np.abs(other.values)
    passed = None if total.passed is None else total.passed * size
    return Value(values, sum=Sum(total.magnitude * size, total.roundings + 2, passed, _grown(total, size)))


NORMALISING = 8
"""More than the roundings of a batch normalisation: of variance + ε, its root, a quotient (or a reciprocal and a
product), of mean and value times the scale, of two additions."""


def normalised(value: Value, factor: Array, mean: Array, offset: Array) -> Value:
    """Return (value - mean) · factor + offset, all constants of the value's rank."""
    values = (value.values - mean) * factor + offset
    if value.doubts:
        return Value(values, doubts=value.doubts)
    total, size = terms_of(value), np.abs(factor)
    passed = None if total.passed is None else total.passed * size
    shifted = replace(total, magnitude=total.magnitude + np.abs(mean))
    magnitude = shifted.magnitude * size + np.abs(offset)
    largest = _grown(shifted, size) + most(np.abs(offset))
    return Value(values, sum=Sum(magnitude, total.roundings + NORMALISING, passed, largest))


def weighed(multiply: Multiply, size: Array, errors: Array | None, weight: Value, terms: int, largest: Array) -> Sum:
    """Bound sums of products.

    Args:
        multiply: sums the products of values and weights; linear in both.
        size: the magnitudes of what is multiplied, in any runtime, arranged as `multiply` takes them.
        errors: by how much that may differ.
        weight: what it is multiplied by.
        terms: how many products a sum has.
        largest: of the magnitudes of each image.
    """
    of_weight = reach(weight)
    magnitude = multiply(size, of_weight)
    passed = None if errors is None else multiply(errors, of_weight)
    if weight.errors is not None:
        passed = _both(passed, multiply(size, weight.errors), magnitude.shape)
    return Sum(magnitude, terms, passed, 4 + most(of_weight) + largest)


def product(one: Value, other: Value) -> Value:
    """Multiply matrices along the last two axes."""
    if min(one.values.ndim, other.values.ndim) < 3:  # noqa: PLR2004 images, rows, columns
        raise NoBound
    simple = other.constant and other.values.ndim == 3 and not one.constant  # noqa: PLR2004
    if not simple:
        one, other = aligned(one, other)
    multiply: Multiply = _by_matrix if simple else np.matmul
    values = multiply(one.values, other.values)
    if doubts := doubts_of(one, other):
        return Value(values, doubts=doubts)
    size = reach(one)
    total = weighed(multiply, size, one.errors, other, one.values.shape[-1], most(size))
    last = None
    if simple and other.is_exact and one.values.ndim == 3:  # noqa: PLR2004
        inputs = other.values.shape[1]
        last = Last(zero_or(one.errors, one.values) * outward(inputs), other.values[0].T)
    return Value(values, sum=total, last=last)


def _by_matrix(values: Array, matrix: Array) -> Array:
    """Multiply the last axis by one matrix (1, inputs, outputs), in one go."""
    flat = values.reshape(-1, values.shape[-1]) @ matrix[0]
    return np.asarray(flat.reshape(*values.shape[:-1], matrix.shape[-1]))
