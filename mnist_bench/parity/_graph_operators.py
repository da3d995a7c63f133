"""What the certificate knows of ONNX's operators: the reference's values, and how far a runtime's can be from them.

One line of `ARITHMETIC` or of `ARRANGING` for each; `docs/certificate.md` has the formulas.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import ModelRefused
from mnist_bench.parity._certificate import OUTWARD, SIGMOID_FLOOR, SIGMOID_ULPS, TINY, U32, U64, activated
from mnist_bench.parity._graph_step import ONNX, Step, as_value, by_reference
from mnist_bench.parity._graph_values import (
    DOUBLE,
    HALF,
    SINGLE,
    NoBound,
    Value,
    aligned,
    doubts_of,
    fixed,
    minus,
    normalised,
    over,
    plus,
    product,
    reach,
    terms_of,
    times,
    zero_or,
)
from mnist_bench.parity._graph_windows import LEADING, averaged, convolve, largest_in_windows, mean_of_windows
from mnist_bench.parity._reference import Array, activate

Operands = Sequence[Value | None]
Rule = Callable[..., Value]

EPSILON, SLOPE = (float(np.float32(default)) for default in (1e-5, 0.01))
"""What attributes are where they are left out: of BatchNormalization and of LeakyRelu, float32 as all of them."""

SMALLEST_VARIANCE = 2.0**-100
"""Below, float32 may flush a variance, or what a batch normalisation makes of it."""

INTEGERS_HELD = 2.0**24
"""Float32 holds all integers up to this."""


def apply(step: Step, inputs: Operands) -> list[Value]:
    """Evaluate a node, with bounds where they are known.

    Returns:
        Its outputs, which are constant where all of its inputs are.
    """
    given = [value for value in inputs if value is not None]
    rule = ARITHMETIC.get(step.operator) if step.node.domain in ONNX else None
    constant = all(value.constant for value in given)
    numbers = given[:1] if step.operator in REDUCING else given  # the others are axes
    bits = max((value.bits for value in numbers), default=SINGLE)
    try:
        if step.operator in ARRANGING and step.node.domain in ONNX:
            outputs = ARRANGING[step.operator](step, inputs)
        elif rule is None or any(value.values.dtype != np.float64 for value in numbers):
            raise NoBound  # noqa: TRY301 as where a rule finds that it does not apply
        else:
            half = step.doubt(" in float16") if HALF in {value.bits for value in numbers} else frozenset()
            result = rule(step, *inputs)
            outputs = [replace(result, bits=bits, doubts=result.doubts | half)]
    except NoBound:
        outputs = by_reference(step, inputs)
    return [_sound(replace(value, constant=constant or value.constant)) for value in outputs]


def _sound(value: Value) -> Value:
    """Return a value without bounds where there are doubts."""
    return replace(value, own=None, sum=None, last=None) if value.doubts else value


def _bounded(values: Array, errors: Callable[[], Array | None], *inputs: Value) -> Value:
    """Return a value that is no sum: with errors, where there are no doubts."""
    doubts = doubts_of(*inputs)
    return Value(values, own=None if doubts else errors(), doubts=doubts)


def _number(value: Value | None, otherwise: float) -> float:
    """Return a constant that is one number."""
    if value is None:
        return otherwise
    if not value.is_exact or value.values.size != 1:
        raise NoBound
    return float(value.values.item())


def _gemm(step: Step, one: Value, other: Value, offset: Value | None = None) -> Value:
    def turned(value: Value, name: str) -> Value:
        return value.map(lambda array: array.swapaxes(1, 2)) if step.attributes.get(name) else value

    def scaled(value: Value, name: str) -> Value:
        factor = step.attributes.get(name, 1.0)
        return value if factor == 1.0 else times(value, fixed(np.float64(factor)))

    result = scaled(product(turned(one, "transA"), turned(other, "transB")), "alpha")
    return result if offset is None else plus(result, scaled(offset, "beta"))


def _normalise(step: Step, value: Value, *parameters: Value) -> Value:
    """BatchNormalization: (value - mean) / √(variance + ε) · scale + bias, each channel with its own."""
    if not step.attributes.get("spatial", 1):
        raise ModelRefused(f"its {step.label} has parameters for every pixel: export it with a later opset")
    rank = value.values.ndim
    shaped = [one.values.reshape(len(one.values), 1, -1, *[1] * (rank - LEADING)) for one in parameters]
    scale, bias, mean, variance = shaped
    variance = variance + step.attributes.get("epsilon", EPSILON)
    if not all(one.is_exact for one in parameters) or not (variance >= SMALLEST_VARIANCE).all():
        # Not by ONNX's reference, which before opset 14 takes the statistics of the batch.
        doubts = value.doubts | doubts_of(*parameters) | step.doubt()
        return Value((value.values - mean) * (scale / np.sqrt(variance)) + bias, doubts=doubts)
    return normalised(value, scale / np.sqrt(variance), mean, bias)


def _relu(_step: Step, value: Value) -> Value:
    def errors() -> Array | None:
        return None if value.errors is None else activated(value.values, value.errors, "relu")[1]

    return _bounded(activate(value.values, "relu"), errors, value)


def _sigmoid(_step: Step, value: Value) -> Value:
    def errors() -> Array:
        return activated(value.values, zero_or(value.errors, value.values), "sigmoid")[1]

    return _bounded(activate(value.values, "sigmoid"), errors, value)


def _tanh(_step: Step, value: Value) -> Value:
    """The hyperbolic tangent, of which as much is assumed as of the sigmoid."""

    def errors() -> Array:
        known = zero_or(value.errors, value.values)
        # With s the sigmoid: tanh t = 2s(2t) - 1, so that its slope is 4s(2t)s(-2t), without cancellation.
        twice = 2 * np.maximum(np.abs(value.values) - known, 0.0)
        steepest = 4 * activate(twice, "sigmoid") * activate(-twice, "sigmoid")
        evaluation = 2 * SIGMOID_ULPS * (U32 + U64) * np.tanh(reach(value)) + SIGMOID_FLOOR
        return np.asarray((steepest * known + evaluation) * OUTWARD)

    return _bounded(np.tanh(value.values), errors, value)


def _leaky_relu(step: Step, value: Value) -> Value:
    return _prelu(step, value, fixed(np.float64(step.attributes.get("alpha", SLOPE))))


def _prelu(_step: Step, value: Value, slope: Value) -> Value:
    """Negative values times a slope: rounded once."""
    if not slope.is_exact:
        raise NoBound
    value, slope = aligned(value, slope)
    steep = np.abs(slope.values)

    def errors() -> Array:
        known = zero_or(value.errors, value.values)
        either = np.where(value.values < -known, steep, np.maximum(steep, 1.0))
        steepest = np.where(value.values > known, 1.0, either)
        lowest = np.maximum(known - value.values, 0.0)
        rounding = (U32 + U64) * steep * lowest + TINY * (4 + steep + lowest)
        return np.asarray((steepest * known + rounding) * OUTWARD)

    values = np.where(value.values >= 0, value.values, slope.values * value.values)
    return _bounded(values, errors, value)


def _clip(step: Step, value: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """Values beyond the limits do not move with their errors, unless these bring them back."""
    least = _number(low, step.attributes.get("min", -np.inf))
    greatest = _number(high, step.attributes.get("max", np.inf))

    def errors() -> Array | None:
        if value.errors is None:
            return None
        beyond = np.maximum(np.maximum(least - value.values, value.values - greatest), 0.0)
        # The subtractions are rounded to 2^-53 of what is subtracted, which is no more than the error.
        return np.asarray((np.maximum(value.errors - beyond, 0.0) + 2.0**-50 * value.errors) * OUTWARD)

    return _bounded(np.minimum(np.maximum(value.values, least), greatest), errors, value)


def _extreme(combine: Callable[[Array, Array], Array]) -> Rule:
    """Max or Min of several: off by no more than one of them is."""

    def pair(one: Value, other: Value) -> Value:
        one, other = aligned(one, other)

        def errors() -> Array | None:
            if one.errors is None and other.errors is None:
                return None
            both = np.maximum(zero_or(one.errors, one.values), zero_or(other.errors, other.values))
            return np.asarray(np.broadcast_to(both, np.broadcast_shapes(one.values.shape, other.values.shape)))

        return _bounded(combine(one.values, other.values), errors, one, other)

    return lambda _step, *values: reduce(pair, values)


def _global(*, largest: bool) -> Rule:
    """GlobalMaxPool, GlobalAveragePool: over all axes behind the channels."""

    def rule(_step: Step, value: Value) -> Value:
        axes = tuple(range(LEADING, value.values.ndim))
        if not largest:
            return averaged(value, axes, keep=True, divided=True)

        def errors() -> Array | None:
            return None if value.errors is None else value.errors.max(axes, keepdims=True)

        return _bounded(value.values.max(axes, keepdims=True), errors, value)

    return rule


def _reduce(*, divided: bool) -> Rule:
    """ReduceMean or ReduceSum, whose axes were an attribute once."""

    def rule(step: Step, value: Value, axes: Value | None = None) -> Value:
        rank = value.values.ndim - 1
        if axes is not None and not axes.constant:
            raise NoBound
        given = step.attributes.get("axes", []) if axes is None else axes.values.ravel().tolist()
        if not given and step.attributes.get("noop_with_empty_axes"):
            raise NoBound
        places = tuple(sorted({1 + int(axis) % rank for axis in given or range(rank)}))
        return averaged(value, places, keep=bool(step.attributes.get("keepdims", 1)), divided=divided)

    return rule


def _arranged(step: Step, inputs: Operands) -> list[Value]:
    """Whatever an operator does that only moves numbers: it is asked where it moves those of one image to."""
    data = list(inputs) if step.operator == "Concat" else list(inputs[:1])
    if any(value is not None and not value.constant for value in inputs[len(data) :]):
        raise NoBound
    known = [value for value in data if value is not None]
    key = ("places", *(value.values.shape[1:] for value in known))
    if key not in step.cache:
        parameters = [None if value is None else value.values[0] for value in inputs[len(data) :]]
        step.cache[key] = step.evaluate([*_numbered(known), *parameters])
    source = known[0] if len(known) == 1 else _joined(known)
    return [_taken(source, places) for places in step.cache[key]]


def _numbered(values: Sequence[Value]) -> list[NDArray[np.int64]]:
    """Number the elements of one image through, (…) each."""
    ends = np.cumsum([0, *(math.prod(value.values.shape[1:]) for value in values)])
    return [np.arange(ends[i], ends[i + 1]).reshape(one.values.shape[1:]) for i, one in enumerate(values)]


def _joined(values: Sequence[Value]) -> Value:
    """Put the elements of several values behind each other: (images, elements)."""
    images = max(len(value.values) for value in values)

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        rows = array.reshape(len(array), -1)
        return np.broadcast_to(rows, (images, rows.shape[1]))

    joined = np.concatenate([flat(value.values) for value in values], axis=1)
    bits, doubts = max(value.bits for value in values), doubts_of(*values)
    if doubts or all(value.errors is None for value in values):
        return Value(joined, bits=bits, doubts=doubts)
    errors = [flat(zero_or(value.errors, value.values)) for value in values]
    return Value(joined, own=np.concatenate(errors, axis=1), bits=bits)


def _taken(value: Value, places: NDArray[np.int64]) -> Value:
    """Take elements of each image by their number, in the shape of their places."""
    if places.size == math.prod(value.values.shape[1:]) and (places.ravel() == np.arange(places.size)).all():
        return value.map(lambda array: array.reshape(len(array), *places.shape))
    taken = value.map(lambda array: array.reshape(len(array), -1).take(places, axis=1))
    return replace(taken, last=None)


def _same(_step: Step, inputs: Operands) -> list[Value]:
    """Identity, and Dropout where it is not in training."""
    assert inputs[0] is not None
    return [inputs[0]]


def _pad(step: Step, inputs: Operands) -> list[Value]:
    """Pad, which puts a constant, or copies, around the axes."""
    value, pads, fill, axes = (*inputs, None, None, None)[:4]
    assert value is not None
    if any(one is not None and not one.is_exact for one in (pads, fill, axes)):
        raise NoBound
    kind = step.attributes.get("mode", "constant")
    rank = value.values.ndim - 1
    widths = np.zeros((rank, 2), np.int64)
    where = slice(None) if axes is None else axes.values.ravel() % rank
    given = step.attributes.get("pads") if pads is None else pads.values.ravel()
    widths[where] = np.reshape(given, (2, -1)).T  # type: ignore[arg-type]
    if kind not in {"constant", "edge", "reflect"} or widths.min(initial=0) < 0:
        raise NoBound
    number = _number(fill, step.attributes.get("value", 0.0))
    source = _joined([value, replace(fixed(np.float64(number)), bits=value.bits)])
    (numbered,) = _numbered([value])
    more: dict[str, Any] = {"constant_values": numbered.size} if kind == "constant" else {}
    return [_taken(source, np.pad(numbered, widths, mode=kind, **more))]


def _shape(step: Step, inputs: Operands) -> list[Value]:
    """The shape of one image, or batch, which is the same for all."""
    assert inputs[0] is not None
    shape = np.array(inputs[0].values.shape[1:], np.int64)
    return [fixed(shape[slice(step.attributes.get("start", 0), step.attributes.get("end"))])]


def _size(_step: Step, inputs: Operands) -> list[Value]:
    assert inputs[0] is not None
    return [fixed(np.int64(math.prod(inputs[0].values.shape[1:])))]


def _constant(step: Step, inputs: Operands) -> list[Value]:
    """Constant, ConstantOfShape: exactly what the file says."""
    if not all(value is None or value.constant for value in inputs):
        raise NoBound
    operands = [None if value is None else value.values[0] for value in inputs]
    return [as_value(array[None]) for array in step.evaluate(operands)]


def _cast(step: Step, inputs: Operands) -> list[Value]:
    """Cast: between float types the reference keeps its numbers; integers become real numbers exactly."""
    from onnx import TensorProto

    (value,) = inputs
    assert value is not None
    to, real = step.attributes["to"], value.values.dtype == np.float64
    bits = {TensorProto.FLOAT: SINGLE, TensorProto.DOUBLE: DOUBLE}.get(to)
    if real and to in {TensorProto.FLOAT16, TensorProto.BFLOAT16}:
        return [replace(value, bits=HALF, doubts=value.doubts | step.doubt(" to float16"))]
    if bits is None:
        raise NoBound
    found = replace(value, values=value.values.astype(np.float64), bits=bits)
    if value.doubts or (value.bits <= bits if real else np.abs(found.values).max(initial=0) <= INTEGERS_HELD):
        return [found]
    before = terms_of(found)
    return [replace(found, own=None, last=None, sum=replace(before, roundings=before.roundings + 1))]


REDUCING = frozenset({"ReduceMean", "ReduceSum"})


def _summed(_step: Step, *values: Value) -> Value:
    return reduce(plus, values)


ARITHMETIC: dict[str, Rule] = {
    "Add": lambda _step, one, other: plus(one, other),
    "Sub": lambda _step, one, other: plus(one, minus(other)),
    "Sum": _summed,
    "Mul": lambda _step, one, other: times(one, other),
    "Div": lambda _step, one, other: over(one, other),
    "Neg": lambda _step, value: minus(value),
    "MatMul": lambda _step, one, other: product(one, other),
    "Gemm": _gemm,
    "Conv": convolve,
    "BatchNormalization": _normalise,
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Clip": _clip,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "Max": _extreme(np.maximum),
    "Min": _extreme(np.minimum),
    "MaxPool": largest_in_windows,
    "AveragePool": mean_of_windows,
    "GlobalMaxPool": _global(largest=True),
    "GlobalAveragePool": _global(largest=False),
    "ReduceMean": _reduce(divided=True),
    "ReduceSum": _reduce(divided=False),
}
"""Operators of real numbers."""

ARRANGING: dict[str, Callable[[Step, Operands], list[Value]]] = {
    **dict.fromkeys(
        ("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Reshape", "Slice", "SpaceToDepth", "Split"),
        _arranged,
    ),
    **dict.fromkeys(("Squeeze", "Tile", "Transpose", "Unsqueeze"), _arranged),
    **dict.fromkeys(("Dropout", "Identity"), _same),
    **dict.fromkeys(("Constant", "ConstantOfShape"), _constant),
    "Cast": _cast,
    "Pad": _pad,
    "Shape": _shape,
    "Size": _size,
}
"""Operators that compute nothing with real numbers."""
