"""A bound on what rounding can do to this network in IEEE float32, in whatever order a runtime sums.

The derivation, with every assumption, stands in `docs/certificate.md`; the symbols here are its symbols. All bounds are
of the distance between a runtime's value and the float64 reference's, so the reference's own rounding is in them too.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation
from mnist_bench.parity._reference import Array, Weights, activate

U32, U64 = 2.0**-24, 2.0**-53
"""Unit roundoff of float32 and of float64."""

TINY = 2.0**-126
"""The smallest normal float32: an operation that underflows, flushed to zero or not, errs by at most so much."""

OUTWARD = 1 + 2.0**-40
"""Covers the rounding of the bounds themselves: sums of fewer than 4,096 non-negative terms in float64."""

SIGMOID_ULPS = 8
"""Assumed of a runtime's sigmoid: within so many float32 ulp of the true value …"""

SIGMOID_FLOOR = 2.0**-22
"""… or within this: ONNX Runtime's rational approximation (MLAS) errs by up to 2^-22.5, as measured in [-20, 20]."""

LARGEST = 2.0**127
"""Half of float32's range: where all magnitudes stay below it, no partial sum overflows in whatever order."""


@dataclass(frozen=True)
class Bounds:
    """For n images: the reference's answer and how far any float32 runtime can be from it.

    `logits` float64 (n, classes); `logit_bounds` float64 (n, classes): the largest |Δlogit|; `predictions` int (n,);
    `rivals` int (n,): the class that comes closest to overtaking; `margins` float64 (n,): the prediction's logit minus
    the rival's; `margin_bounds` float64 (n,): the largest error of that difference; `certified` bool (n,).
    """

    logits: Array
    logit_bounds: Array
    predictions: NDArray[np.intp]
    rivals: NDArray[np.intp]
    margins: Array
    margin_bounds: Array
    certified: NDArray[np.bool_]

    def first(self, count: int) -> "Bounds":
        """Return those of the first so many images."""
        return self.only(slice(count))

    def only(self, rows: "NDArray[np.intp] | slice") -> "Bounds":
        """Return those of some of the images."""
        return Bounds(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def then(self, other: "Bounds") -> "Bounds":
        """Return these and those of other images behind them."""
        pairs = ((field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Bounds(**{name: np.concatenate([first, second]) for name, first, second in pairs})


def gamma(operations: int, unit: float) -> float:
    """Return γₙ = n·u / (1 - n·u): the relative error of n roundings (Higham 2002, lemma 3.1).

    N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM 2002.
    """
    return operations * unit / (1 - operations * unit)


def certify(weights: Weights, images: NDArray[np.float32]) -> Bounds:
    """Bound every logit and every difference of logits of some images.

    Args:
        weights: the network's parameters.
        images: float32 (n, 1, 28, 28) in [0, 1]; runtimes get the same float32 values.

    Returns:
        The bounds; an image is certified when no other class can overtake the reference's prediction.
    """
    values = images.reshape(len(images), -1).astype(np.float64)
    errors = np.zeros_like(values)
    *hidden, last = weights.layers
    finite = []
    for weight, bias in hidden:
        finite.append(cannot_overflow(values, errors, weight, bias))
        values, errors = dense(values, errors, weight, bias)
        values, errors = activated(values, errors, weights.activation)
    finite.append(cannot_overflow(values, errors, *last))
    return decide(values, errors, *last, np.logical_and.reduce(finite))


def _magnitude(values: Array, errors: Array, weight: Array, bias: Array) -> Array:
    """Return |b| + |W|(|c| + e): what no partial sum exceeds, but for rounding."""
    magnitude: Array = (np.abs(values) + errors) @ np.abs(weight).T + np.abs(bias)
    return magnitude


def cannot_overflow(values: Array, errors: Array, weight: Array, bias: Array) -> NDArray[np.bool_]:
    """Tell of which images no partial sum of a layer can overflow in float32."""
    return np.asarray(_magnitude(values, errors, weight, bias).max(1) < LARGEST, np.bool_)


def _rounding(values: Array, errors: Array, weight: Array, bias: Array, further: int = 0) -> Array:
    """Bound the rounding of dense layers (n, outputs): a runtime's own, and the reference's.

    n products and n additions of n + 1 terms: no term passes through more than n + 1 roundings, with fused
    multiply-add through fewer (Higham 2002, §3.1). `further` are roundings of float32 besides.
    """
    terms = weight.shape[1] + 1 + further
    magnitude = _magnitude(values, errors, weight, bias)
    largest = 4 + np.abs(weight).max(initial=0) + np.abs(bias).max(initial=0) + (np.abs(values) + errors).max(initial=0)
    bounds: Array = (gamma(terms, U32) + gamma(terms, U64)) * magnitude + terms * TINY * largest
    return bounds


def dense(values: Array, errors: Array, weight: Array, bias: Array, further: int = 0) -> tuple[Array, Array]:
    """Return the pre-activations of a layer (n, outputs), and the bounds of their errors.

    Args:
        values: the reference's values before it, float64 (n, inputs).
        errors: how far a runtime's may be from them.
        weight: (outputs, inputs).
        bias: (outputs,).
        further: how many roundings of float32 a term may pass through besides those of the products and sums.
    """
    passed_on = errors @ np.abs(weight).T
    bounds = (_rounding(values, errors, weight, bias, further) + passed_on) * OUTWARD
    return values @ weight.T + bias, bounds


def activated(values: Array, errors: Array, function: Activation) -> tuple[Array, Array]:
    """Return the activations and the bounds of their errors."""
    if function == "relu":
        # Positive: the error passes. Negative: only what reaches beyond zero, mostly nothing.
        return activate(values, "relu"), np.where(values >= 0, errors, np.maximum(values + errors, 0.0)) * OUTWARD
    from scipy.special import expit

    nearest_zero = np.maximum(np.abs(values) - errors, 0.0)  # where the slope is steepest in the interval
    steepest = expit(nearest_zero) * expit(-nearest_zero)
    largest = expit(values + errors)
    evaluation = (2 * SIGMOID_ULPS * (U32 + U64)) * largest + SIGMOID_FLOOR
    return activate(values, "sigmoid"), (steepest * errors + evaluation) * OUTWARD


def decide(
    values: Array,
    errors: Array,
    weight: Array,
    bias: Array,
    finite: NDArray[np.bool_],
    further: int = 0,
    slack: Array | float = 0.0,
) -> Bounds:
    """Bound the last layer and compare each prediction with every other class; only `finite` images are certified.

    `slack` (n, classes) is by how much a logit may be off besides.
    """
    logits = values @ weight.T + bias
    rounding = _rounding(values, errors, weight, bias, further) + slack
    predictions = logits.argmax(1)
    margins, bounds = np.empty_like(logits), np.empty_like(logits)
    for winner in np.unique(predictions):
        rows = predictions == winner
        # The error of the inputs reaches both logits alike: through the difference of their weights.
        shared = errors[rows] @ np.abs(weight[winner] - weight).T
        bounds[rows] = (shared + rounding[rows][:, [winner]] + rounding[rows]) * OUTWARD
        margins[rows] = logits[rows][:, [winner]] - logits[rows]
    one_each = np.arange(len(logits))
    headroom = margins - bounds
    headroom[one_each, predictions] = np.inf
    rivals = headroom.argmin(1)
    exceeds = margins * (2 - OUTWARD) > bounds
    exceeds[one_each, predictions] = True
    certified = exceeds.all(1) & finite
    margins, bounds = margins[one_each, rivals], bounds[one_each, rivals]
    logit_bounds = np.where(finite[:, None], (rounding + errors @ np.abs(weight).T) * OUTWARD, np.inf)
    return Bounds(logits, logit_bounds, predictions, rivals, margins, bounds, certified)
