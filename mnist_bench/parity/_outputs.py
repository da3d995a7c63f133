"""What a network gives that ends in softmax or log-softmax instead of logits, and how far a runtime can be from it.

The derivation, with every assumption, stands in `docs/certificate.md`; the symbols here are its symbols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mnist_bench.core.signature import AnswerType
from mnist_bench.parity._certificate import OUTWARD, TINY, U32, U64, Bounds
from mnist_bench.parity._reference import Array

Output = Literal["logits", "softmax", "log-softmax"]

ULPS = 8
"""Assumed of a runtime's exponential and logarithm: within so many float32 ulp of the true value."""

U16, LARGEST_16, TINY_16 = 2.0**-11, 65504.0, 2.0**-14
"""Of float16: the relative error of a rounding, the largest number, and the smallest that no processor flushes."""

FARTHEST = 1024.0
"""Logits further below the largest have no probability, in float64 either: their rounding does nothing to it."""


@dataclass(frozen=True)
class Kind:
    """An output: what a change of one logit, and of all, by 1 can at most change in it; and its `unit` in messages.

    `rounding` is what evaluating it may add, in units of the tolerance of a logit of 1.
    """

    slope: float
    rounding: float
    unit: str


KINDS: Mapping[Output, Kind] = {
    "logits": Kind(1.0, 0.0, "logit"),
    # ∂pᵢ/∂zₖ = pᵢ(δᵢₖ - pₖ): where no logit moves by more than δ, pᵢ moves by 2pᵢ(1 - pᵢ)δ at most, and that by δ/2.
    "softmax": Kind(0.5, 1.0, "probability"),
    "log-softmax": Kind(2.0, 1.0, "log probability"),
}


def answered(logits: Array, output: Output) -> Array:
    """Return what a network of these logits, float64 (n, classes), gives: them, probabilities, or their logarithms."""
    if output == "logits":
        return logits
    below = logits - logits.max(1, keepdims=True)
    logs = below - _log_sums(below)[:, None]
    return np.asarray(logs if output == "log-softmax" else np.exp(logs), np.float64)


def _log_sums(terms: Array) -> Array:
    """Return the logarithm of the sum of exponentials along the last axis."""
    largest = terms.max(-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    sums: Array = np.log(np.exp(terms - largest).sum(-1)) + largest[..., 0]
    return sums


def bounded(bounds: Bounds, output: Output) -> Bounds:
    """Return the bounds of what a network gives, from those of its logits.

    Predictions stay as they are, and so do margins: they are differences of logits, which are differences of the
    logarithms of probabilities.
    """
    if output == "logits":
        return bounds
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        values, errors, slack = _evaluated(bounds, output)
    margin_bounds = (bounds.margin_bounds + slack) * OUTWARD
    certified = bounds.certified & (bounds.margins * (2 - OUTWARD) > margin_bounds)
    return replace(bounds, logits=values, logit_bounds=errors, margin_bounds=margin_bounds, certified=certified)


def rounding(values: Array, answers: AnswerType) -> Array:
    """Return by how much numbers of such magnitudes can change at most when they are rounded to a type at the end.

    What float32 does is in every bound and tolerance already.
    """
    half = np.asarray((U16 * np.abs(values) + TINY_16) * OUTWARD, np.float64)
    return half if answers == "float16" else np.zeros_like(half)


def rounded(bounds: Bounds, output: Output, answers: AnswerType) -> Bounds:
    """Return the bounds of what a network gives that rounds its answers to a type at the very end.

    Rounding swaps no two answers, but can make them equal: an image stays certified where they remain apart.
    """
    if answers != "float16":
        return bounds
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(bounds.logits) + bounds.logit_bounds
        errors = rounding(largest, answers)
        # Margins are differences of logarithms, which a relative error changes; the largest probability is no tiny one.
        slack = 4 * U16 if output == "softmax" else 2 * errors.max(1)
        margin_bounds = (bounds.margin_bounds + slack) * OUTWARD
        fits = largest.max(1) < LARGEST_16
        certified = bounds.certified & fits & (bounds.margins * (2 - OUTWARD) > margin_bounds)
        errors = np.where(fits[:, None], (bounds.logit_bounds + errors) * OUTWARD, np.inf)
    return replace(bounds, logit_bounds=errors, margin_bounds=margin_bounds, certified=certified)


def _evaluated(bounds: Bounds, output: Output) -> tuple[Array, Array, Array]:
    """Return values and their bounds, (n, classes) each, and by how much two logarithms may come nearer, (n,)."""
    below, errors = bounds.logits - bounds.logits.max(1, keepdims=True), bounds.logit_bounds
    unit, classes = U32 + 16 * U64, below.shape[1]
    low, high = _logs_between(below, errors)
    distance = errors.max(1, keepdims=True) + errors - below
    distance = np.minimum(np.nan_to_num(distance, nan=FARTHEST, posinf=FARTHEST), FARTHEST)
    # Relative errors: of an exponential (its argument is rounded), of the sum of all, of the quotient.
    of_sum = (np.exp(high) * distance).sum(1) + 2 * ULPS + classes
    relative = (distance + 2 * ULPS + of_sum[:, None] + 3) * unit * (1 + 2.0**-10)
    logs = answered(below, "log-softmax")
    if output == "softmax":
        values = np.exp(logs)
        room = np.maximum(np.exp(high) * (1 + relative) - values, values - np.exp(low) * (1 - relative))
        slack = (distance.max(1) + 4 * ULPS + 4) * unit * (1 + 2.0**-10)
        return values, (room + (classes + 2) * TINY) * OUTWARD, slack
    size = np.maximum(np.abs(low), np.abs(high))
    rounding = relative + (2 * ULPS + 2) * (size + np.log(classes)) * unit
    slack = 2 * np.where(np.isfinite(rounding), rounding, 0.0).max(1)
    return logs, (np.maximum(high - logs, logs - low) + rounding) * OUTWARD, slack


def _logs_between(logits: Array, errors: Array) -> tuple[Array, Array]:
    """Return between what the logarithm of each probability is, (n, classes), where logits are off by these errors."""
    same = np.eye(logits.shape[1], dtype=np.bool_)
    most = (logits + errors)[:, None, :] - (logits - errors)[:, :, None]  # (n, of this class, of that)
    least = (logits - errors)[:, None, :] - (logits + errors)[:, :, None]
    return tuple(-_log_sums(np.where(same, 0.0, ends)) for ends in (most, least))  # type: ignore[return-value]
