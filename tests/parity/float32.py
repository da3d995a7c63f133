"""A float32 network evaluated in as many ways as a runtime might: orders of summation, fused multiply-add, sigmoids."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mnist_bench.parity import Weights

F32 = NDArray[np.float32]
Dot = Callable[[F32, F32], F32]
"""Sums of products along the last axis: terms (…, n) of two factors, to (…)."""


def forward(a: F32, b: F32) -> F32:
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape)[:-1], np.float32)
    for i in range(a.shape[-1]):
        total = total + a[..., i] * b[..., i]
    return total


def reverse(a: F32, b: F32) -> F32:
    return forward(a[..., ::-1], b[..., ::-1])


def shuffled(a: F32, b: F32) -> F32:
    order = np.random.default_rng(a.shape[-1]).permutation(a.shape[-1])
    return forward(a[..., order], b[..., order])


def pairwise(a: F32, b: F32) -> F32:
    terms = a * b
    while terms.shape[-1] > 1:
        if terms.shape[-1] % 2:
            terms = np.concatenate([terms, np.zeros_like(terms[..., :1])], axis=-1)
        terms = terms[..., ::2] + terms[..., 1::2]
    return np.asarray(terms[..., 0], np.float32)


def blocked(a: F32, b: F32) -> F32:
    """Eight lanes side by side, as vector units sum, added up at the end."""
    lanes = [forward(a[..., lane::8], b[..., lane::8]) for lane in range(min(8, a.shape[-1]))]
    total = lanes[0]
    for lane in lanes[1:]:
        total = total + lane
    return total


def fused(a: F32, b: F32) -> F32:
    """Forward with fused multiply-add: one rounding for product and sum."""
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape)[:-1], np.float32)
    for i in range(a.shape[-1]):
        total = fma(a[..., i], b[..., i], total)
    return total


def fma(a: F32, b: F32, c: F32) -> F32:
    """a·b + c rounded once: the product is exact in float64; the sum is rounded to odd there, then to float32.

    Boldo and Melquiond, Emulation of FMA and correctly rounded sums, IEEE Trans. Computers 57 (2008).
    """
    product, addend = np.broadcast_arrays(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64))
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)  # exact (Knuth's TwoSum)
    even = (total.view(np.int64) & 1) == 0
    towards = np.where(error > 0, np.inf, -np.inf)
    odd = np.where((error != 0) & even, np.nextafter(total, towards), total)
    return np.asarray(odd, np.float32)


DOTS: dict[str, Dot] = {dot.__name__: dot for dot in (forward, reverse, shuffled, pairwise, blocked, fused)}


def sigmoid(values: F32) -> F32:
    with np.errstate(over="ignore"):
        return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-values)), np.float32)


def coarse_sigmoid(values: F32) -> F32:
    """As coarse as ONNX Runtime's: an absolute error of up to 2^-22.5, one way and the other."""
    error = np.where(np.signbit(np.sin(values * 1000)), -1, 1) * np.float32(2**-22.5)
    return np.asarray(np.clip(sigmoid(values) + error.astype(np.float32), 0, 1), np.float32)


def clamped_sigmoid(values: F32) -> F32:
    """As MLAS does: the argument is clamped first."""
    return sigmoid(np.clip(values, np.float32(-18), np.float32(18)))


def logits(weights: Weights, images: F32, dot: Dot, bias_first: bool, squash: Callable[[F32], F32]) -> F32:
    """Evaluate every operation in float32."""
    values = images.reshape(len(images), -1)
    for index, (weight, bias) in enumerate(weights.layers):
        if index:
            values = np.maximum(values, np.float32(0)) if weights.activation == "relu" else squash(values)
        w, b = weight.astype(np.float32), bias.astype(np.float32)
        if bias_first:  # as one more product, at the front of the sum
            inputs = np.concatenate([np.ones((len(values), 1), np.float32), values], axis=1)
            values = dot(inputs[:, None, :], np.concatenate([b[:, None], w], axis=1)[None])
        else:
            values = dot(values[:, None, :], w[None]) + b
    return values
