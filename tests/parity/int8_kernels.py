"""A quantised network computed in as many ways as a runtime might: exact integers, pairs that saturate, float32 in
many orders; scaled by a float or by a fixed-point multiplier; halves rounded to even, away from zero, or up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.parity._steps import Activate, Product, Quantise, QuantiseByRange, Shift, Step
from tests.parity import float32

Ints = NDArray[np.int64]
ROUND: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "even": np.rint,
    "away": lambda t: np.trunc(t + np.copysign(t.dtype.type(0.5), t)),
    "up": lambda t: np.floor(t + t.dtype.type(0.5)),
}
F32 = np.float32


@dataclass(frozen=True)
class Way:
    """How it is computed: `sums` "exact", "pairs", or the name of an order of float32; `scaling` "float" or "fixed"."""

    sums: str
    scaling: str
    rounding: str


EXACT = [Way("exact", scaling, rounding) for scaling, rounding in product(("float", "fixed"), ROUND)]
SIMULATED = [Way(order, "float", list(ROUND)[at % 3]) for at, order in enumerate(float32.DOTS)]
CONFORMING = EXACT + SIMULATED
PAIRS = Way("pairs", "float", "even")


@dataclass(frozen=True)
class _Integers:
    """Bytes as they are stored, and their grid; `scale` float32, one or one an image."""

    stored: Ints
    zero: int
    low: int
    scale: NDArray[np.float32]


def answer(steps: Sequence[Step], images: NDArray[np.float32], way: Way, *, together: bool = False) -> float32.F32:
    """Return logits; `together`: the images are one batch, where that decides on a scale."""
    state: Any = images.reshape(len(images), -1)
    for place, step in enumerate(steps):
        # Kernels clip as they scale: ReLU does not come between a sum and the integer that it becomes.
        following = next((one for one in steps[place + 1 :] if one != Activate("relu")), None)
        if isinstance(step, Quantise):
            # What is fused with the product before it has been quantised with that.
            state = state if isinstance(state, _Integers) else _quantised(state, step, way)
        elif isinstance(step, QuantiseByRange):
            state = _by_range(_floats(state), way, together and not step.signed)
        elif step == Activate("relu") and isinstance(state, _Integers):
            state = replace(state, stored=np.maximum(state.stored, state.zero))
        elif isinstance(step, Activate):
            floats = _floats(state)
            state = np.maximum(floats, F32(0)) if step.function == "relu" else float32.sigmoid(floats)
        elif isinstance(step, Shift):
            state = _floats(state) + step.bias.astype(F32)
        elif isinstance(state, _Integers) and step.integers is not None and way.sums in ("exact", "pairs"):
            state = _integer_product(state, step, following, way)
        else:
            state = _float_product(_floats(state), step, way)
    return _floats(state)


def _floats(state: Any) -> float32.F32:
    if not isinstance(state, _Integers):
        return np.asarray(state, F32)
    return np.asarray((state.stored - state.zero).astype(F32) * state.scale, F32)


def _quantised(floats: float32.F32, step: Quantise, way: Way) -> _Integers:
    """Divide by the scale, or multiply by its reciprocal."""
    scale = F32(step.scale)
    scaled = floats * (F32(1) / scale) if way.rounding == "away" else floats / scale
    return _stored(ROUND[way.rounding](scaled), step)


def _stored(rounded: NDArray[Any], step: Quantise) -> _Integers:
    stored = np.clip(rounded.astype(np.float64) + step.zero, step.low, step.high).astype(np.int64)
    return _Integers(stored, step.zero, step.low, np.asarray(step.scale, F32))


def _by_range(floats: float32.F32, way: Way, together: bool) -> _Integers:
    largest = floats.max(keepdims=True) if together else floats.max(1, keepdims=True)
    scale = np.where(largest > 0, largest / F32(255), F32(1)).astype(F32)
    return _Integers(np.clip(ROUND[way.rounding](floats / scale), 0, 255).astype(np.int64), 0, 0, scale)


def _integer_product(state: _Integers, step: Product, following: Step | None, way: Way) -> Any:
    """Sum integers; where what follows quantises, go there directly, as fused kernels do."""
    assert step.integers is not None
    assert step.unit is not None
    values = np.rint(step.weight / step.unit[:, None]).astype(np.int64)  # without the zero point
    sums = (state.stored - state.zero) @ values.T
    if way.sums == "pairs":
        unsigned = state.stored - state.low
        sums = sums - unsigned @ step.integers.T + saturating(unsigned, step.integers)
    scale = (state.scale * step.unit.astype(F32)).astype(F32)
    if step.bias_unit is None:
        return sums.astype(F32) * scale + step.bias.astype(F32)
    sums = sums + np.rint(step.bias / step.bias_unit).astype(np.int64)
    if not isinstance(following, Quantise):
        return sums.astype(F32) * scale
    if way.scaling == "fixed":
        return _stored(_fixed_point(sums, scale.astype(np.float64) / following.scale, way.rounding), following)
    multiplier = (scale / F32(following.scale)).astype(F32)
    return _stored(ROUND[way.rounding](sums.astype(F32) * multiplier), following)


def saturating(unsigned: Ints, weights: Ints) -> Ints:
    """Sum products of neighbours in 16 bits, as VPMADDUBSW does, and those sums in 32."""
    even = np.pad(unsigned, ((0, 0), (0, unsigned.shape[1] % 2)))
    weights = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2)))
    products = even[:, None, :] * weights[None, :, :]
    pairs = np.clip(products[..., 0::2] + products[..., 1::2], -(2**15), 2**15 - 1)
    return np.asarray(pairs.sum(-1), np.int64)


def _fixed_point(sums: Ints, multiplier: NDArray[np.float64], rounding: str) -> Ints:
    """Multiply by an integer of 31 bits and shift, rounding both times, as gemmlowp and TFLite do."""
    fraction, exponent = np.frexp(multiplier)
    whole = np.rint(fraction * 2.0**31).astype(np.int64)
    exponent = np.where(whole == 2**31, exponent + 1, exponent)
    whole = np.where(whole == 2**31, 2**30, whole)
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    high = _shifted((sums << left) * whole, np.full_like(right, 31), "away")
    return _shifted(high, right, rounding)


def _shifted(values: Ints, bits: Ints, rounding: str) -> Ints:
    """Divide by a power of two and round."""
    half = np.where(bits > 0, 1 << np.maximum(bits - 1, 0), 0)
    up = (values + half) >> bits
    tied = (values & ((1 << bits) - 1)) == half
    tied &= bits > 0
    if rounding == "away":
        return np.asarray(np.where(tied & (values < 0), up - 1, up), np.int64)
    return np.asarray(np.where(tied & (up & 1 == 1), up - 1, up) if rounding == "even" else up, np.int64)


def _float_product(floats: float32.F32, step: Product, way: Way) -> float32.F32:
    weight, order = _as_float32(step), way.sums if way.sums in float32.DOTS else "forward"
    found = float32.DOTS[order](floats[:, None, :], weight[None, :, :]) + step.bias.astype(F32)
    return np.asarray(found, F32)


def _as_float32(step: Product) -> float32.F32:
    if step.unit is None:
        return step.weight.astype(F32)
    return np.asarray(np.rint(step.weight / step.unit[:, None]).astype(F32) * step.unit.astype(F32)[:, None], F32)
