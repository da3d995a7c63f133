"""Convolutions and pools of a graph: operators that slide a window over the last axes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.parity._graph_step import Step
from mnist_bench.parity._graph_values import NoBound, Sum, Value, doubts_of, most, plus, reach, terms_of, weighed
from mnist_bench.parity._reference import Array

LEADING = 3
"""Axes before those that a window slides over: images, batch, channels."""

DIVIDING = 3
"""Roundings of a mean besides those of its sum, an axis: a quotient, or a reciprocal and a product; one to spare."""


@dataclass(frozen=True)
class Window:
    """A window of some `kernel`, and where it is put: `strides`, `dilations`, `padding` (before, after) an axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, step: Step, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> "Window":
        """Read a node's attributes for an input of some sizes."""
        ones = [1] * len(sizes)
        strides = tuple(step.attributes.get("strides", ones))
        dilations = tuple(step.attributes.get("dilations", ones))
        if not len(kernel) == len(strides) == len(dilations) == len(sizes):
            raise NoBound
        spans = [(size - 1) * apart + 1 for size, apart in zip(kernel, dilations, strict=True)]
        padding = _padding(step, sizes, strides, spans)
        lengths = [sum(beside) + size for beside, size in zip(padding, sizes, strict=True)]
        if step.attributes.get("ceil_mode") and any(
            (length - span) % stride for length, span, stride in zip(lengths, spans, strides, strict=True)
        ):
            raise NoBound  # one more window, that reaches out
        if any(length < span for length, span in zip(lengths, spans, strict=True)):
            raise NoBound
        return cls(kernel, strides, dilations, padding)

    def padded(self, values: NDArray[Any], fill: float) -> NDArray[Any]:
        """Return values with what stands around them."""
        if not any(map(sum, self.padding)):
            return values
        beside = [(0, 0)] * (values.ndim - len(self.padding)) + list(self.padding)
        return np.pad(values, beside, constant_values=fill)

    def views(self, values: NDArray[Any], fill: float) -> Iterator[NDArray[Any]]:
        """Yield, for each place in the window, what stands there, for all windows: (…, *positions)."""
        padded = self.padded(values, fill)
        windows = self._all(padded)
        for place in np.ndindex(*self.kernel):
            yield windows[(..., *place)]

    def patches(self, values: Array, groups: int) -> Array:
        """Return what stands in each window: (images, channels, …) to (images, groups, elements, positions)."""
        axes = len(self.kernel)
        windows = self._all(self.padded(values, 0.0))
        places, positions = range(2 + axes, 2 + 2 * axes), range(2, 2 + axes)
        ordered = windows.transpose(0, 1, *places, *positions)
        count = math.prod(windows.shape[2 : 2 + axes])
        return np.asarray(ordered.reshape(len(values), groups, -1, count))

    def _all(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a view of all windows: (…, *positions, *kernel)."""
        axes = len(self.kernel)
        spans = tuple((size - 1) * apart + 1 for size, apart in zip(self.kernel, self.dilations, strict=True))
        windows = np.lib.stride_tricks.sliding_window_view(padded, spans, tuple(range(-axes, 0)))
        every = [slice(None)] * (windows.ndim - 2 * axes)
        every += [slice(None, None, step) for step in (*self.strides, *self.dilations)]
        return windows[tuple(every)]

    def positions(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Return how often the window is put along each axis."""
        pairs = zip(self.padding, sizes, self.kernel, self.dilations, self.strides, strict=True)
        return tuple(
            (sum(beside) + size - (width - 1) * apart - 1) // stride + 1 for beside, size, width, apart, stride in pairs
        )


def _padding(
    step: Step, sizes: tuple[int, ...], strides: tuple[int, ...], spans: list[int]
) -> tuple[tuple[int, int], ...]:
    """Return how much stands before and after each axis."""
    kind = step.attributes.get("auto_pad", "NOTSET")
    if kind in {"SAME_UPPER", "SAME_LOWER"}:
        totals = [
            max((-(-size // stride) - 1) * stride + span - size, 0)
            for size, stride, span in zip(sizes, strides, spans, strict=True)
        ]
        upper = kind == "SAME_UPPER"
        return tuple((total // 2, total - total // 2)[:: 1 if upper else -1] for total in totals)  # type: ignore[misc]
    pads = step.attributes.get("pads", [0] * 2 * len(sizes)) if kind == "NOTSET" else [0] * 2 * len(sizes)
    if min(pads, default=0) < 0 or len(pads) != 2 * len(sizes):
        raise NoBound
    return tuple(zip(pads[: len(sizes)], pads[len(sizes) :], strict=True))


def convolve(step: Step, value: Value, weight: Value, bias: Value | None = None) -> Value:
    """Evaluate Conv: sums of products, as a dense layer has them."""
    if not weight.constant or value.values.ndim <= LEADING:
        raise NoBound
    images, batch, channels, *sizes = value.values.shape
    outputs, per_group, *kernel = weight.values.shape[1:]
    groups = step.attributes.get("group", 1)
    window = Window.of(step, tuple(sizes), tuple(kernel))
    matrix = weight.map(lambda array: array.reshape(1, groups, outputs // groups, -1))
    shape = (images, batch, outputs, *window.positions(tuple(sizes)))

    def patches(array: Array) -> Array:
        return window.patches(array.reshape(images * batch, channels, *sizes), groups)

    def shaped(array: NDArray[Any]) -> NDArray[Any]:
        return array.reshape(shape)

    values = shaped(_matrices(patches(value.values), matrix.values))
    doubts = doubts_of(value, weight)
    if doubts:
        convolved = Value(values, doubts=doubts)
    else:
        size, errors = reach(value), None if value.errors is None else patches(value.errors)
        terms = per_group * math.prod(kernel)
        total = weighed(_matrices, patches(size), errors, matrix, terms, most(size))
        convolved = Value(values, sum=total.map(shaped))
    if bias is None:
        return convolved
    return plus(convolved, bias.map(lambda array: array.reshape(1, 1, outputs, *[1] * len(sizes))))


def _matrices(patches: Array, weight: Array) -> Array:
    """Multiply each image's patches by the weights (1, groups, outputs of a group, elements)."""
    return np.asarray(np.matmul(weight, patches))


def patch_elements(step: Step, weight: Value, result: Value) -> int:
    """Return how many numbers the patches of one image, or batch, have."""
    outputs = weight.values.shape[1]
    groups = int(step.attributes.get("group", 1))
    return int(result.values[0].size // outputs * (weight.values.size // outputs) * groups)


def largest_in_windows(step: Step, value: Value) -> Value:
    """Evaluate MaxPool: the maximum of numbers is off by no more than one of them is."""
    window = _pool(step, value)
    if len(step.node.output) > 1 and step.node.output[1]:
        raise NoBound  # where the largest are: rounding decides
    values = _over_places(np.maximum, window, value.values, -np.inf)
    errors = None if value.errors is None else _over_places(np.maximum, window, value.errors, 0.0)
    return Value(values, own=errors, doubts=value.doubts)


def mean_of_windows(step: Step, value: Value) -> Value:
    """Evaluate AveragePool: a sum, and a division by how many numbers it has."""
    window = _pool(step, value)
    inside = np.ones((1, 1, 1, *value.values.shape[LEADING:]))
    fill = 1.0 if step.attributes.get("count_include_pad") else 0.0
    count = _over_places(np.add, window, inside, fill)
    if not count.all():
        raise NoBound
    values = _over_places(np.add, window, value.values, 0.0) / count
    if value.doubts:
        return Value(values, doubts=value.doubts)
    size = reach(value)
    magnitude = _over_places(np.add, window, size, 0.0) / count
    passed = None if value.errors is None else _over_places(np.add, window, value.errors, 0.0) / count
    roundings = math.prod(window.kernel) + DIVIDING * len(window.kernel)
    return Value(values, sum=Sum(magnitude, roundings, passed, 4 + most(size)))


def _pool(step: Step, value: Value) -> Window:
    if value.values.ndim <= LEADING:
        raise NoBound
    return Window.of(step, value.values.shape[LEADING:], tuple(step.attributes["kernel_shape"]))


def _over_places(combine: np.ufunc, window: Window, values: Array, fill: float) -> Array:
    """Combine what stands in each window."""
    views = window.views(values, fill)
    found = next(views).copy()
    for view in views:
        combine(found, view, out=found)
    return found


def averaged(value: Value, axes: tuple[int, ...], *, keep: bool, divided: bool) -> Value:
    """Add up some axes, counted with that of the images, and divide by how many numbers that are."""
    count = math.prod(value.values.shape[axis] for axis in axes)
    divisor = count if divided else 1

    def over_axes(array: Array) -> Array:
        return np.asarray(array.sum(axes, keepdims=keep) / divisor)

    values = over_axes(value.values)
    if value.doubts:
        return Value(values, doubts=value.doubts)
    total = terms_of(replace(value, own=value.errors, sum=None))
    passed = None if total.passed is None else over_axes(total.passed)
    roundings = count + DIVIDING * len(axes)
    return Value(values, sum=Sum(over_axes(total.magnitude), roundings, passed, total.largest))
