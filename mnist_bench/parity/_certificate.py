"""A bound on what rounding can do to this network in IEEE float32, in whatever order a runtime sums.

The derivation, with every assumption, stands in `docs/certificate.md`; the symbols here are its symbols. All bounds are
of the distance between a runtime's value and the float64 reference's, so the reference's own rounding is in them too.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation
from mnist_bench.core.memo import remembered
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


@remembered(8)
def certify(weights: Weights, images: NDArray[np.float32], off: Array | None = None) -> Bounds:
    """Bound every logit and every difference of logits of some images.

    Args:
        weights: the network's parameters.
        images: float32 (n, 1, 28, 28) in [0, 1]; runtimes get the same float32 values.
        off: by how much each may be off instead, float64 of the same shape, where images are changed on their way.

    Returns:
        The bounds; an image is certified when no other class can overtake the reference's prediction.
    """
    values = images.reshape(len(images), -1).astype(np.float64)
    errors = np.zeros_like(values) if off is None else off.reshape(values.shape)
    *hidden, last = weights.layers
    finite = np.ones(len(images), np.bool_)
    for weight, bias in hidden:
        sums = dense(values, errors, weight, bias)
        values, errors = activated(sums.values, sums.errors, weights.activation)
        finite &= sums.finite
    return decide(values, errors, *last, finite)


@dataclass(frozen=True)
class Sums:
    """What a dense layer adds up to for n images.

    `values` float64 (n, outputs): the reference's; `errors` float64 (n, outputs): how far a runtime's may be from them,
    of which `rounding` arises here; `finite` bool (n,): no partial sum can overflow in float32.
    """

    values: Array
    errors: Array
    rounding: Array
    finite: NDArray[np.bool_]


def dense(values: Array, errors: Array, weight: Array, bias: Array, further: int = 0) -> Sums:
    """Bound the sums of a dense layer.

    n products and n additions of n + 1 terms: no term passes through more than n + 1 roundings, with fused
    multiply-add through fewer (Higham 2002, §3.1).

    Args:
        values: the reference's values before it, float64 (n, inputs).
        errors: how far a runtime's may be from them.
        weight: (outputs, inputs).
        bias: (outputs,).
        further: how many roundings of float32 a term may pass through besides those of the products and sums.
    """
    terms, size = weight.shape[1] + 1 + further, np.abs(weight).T
    passed_on = errors @ size if errors.any() else np.zeros((len(values), len(weight)))
    magnitude = np.abs(values) @ size + passed_on + np.abs(bias)  # no partial sum exceeds it, but for rounding
    largest = 4 + np.abs(weight).max(initial=0) + np.abs(bias).max(initial=0) + (np.abs(values) + errors).max(initial=0)
    rounding = (gamma(terms, U32) + gamma(terms, U64)) * magnitude + terms * TINY * largest
    finite = np.asarray(magnitude.max(1) < LARGEST, np.bool_)
    return Sums(values @ weight.T + bias, (rounding + passed_on) * OUTWARD, rounding, finite)


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
    """Bound the last layer and compare each prediction with every other class.

    Only images that were `finite` before it, and are in it, are certified; `slack` (n, classes) is by how much a logit
    may be off besides.
    """
    sums = dense(values, errors, weight, bias, further)
    off = sums.errors + slack * OUTWARD
    return compared(sums.values, off, sums.rounding + slack, errors, weight, sums.finite & finite)


def compared(
    logits: Array, errors: Array, rounding: Array, shared: Array, weight: Array, finite: NDArray[np.bool_]
) -> Bounds:
    """Compare each prediction with every other class.

    Args:
        logits: the reference's, float64 (n, classes).
        errors: by how much each may be off.
        rounding: by how much of that each may be off for itself, float64 (n, classes).
        shared: by how much the inputs of the last layer may be off, float64 (n, inputs).
        weight: its weights, (classes, inputs).
        finite: which images have such bounds; only those are certified.
    """
    predictions = logits.argmax(1)
    margins, bounds = np.empty_like(logits), np.empty_like(logits)
    for winner in np.unique(predictions):
        rows = predictions == winner
        # The error of the inputs reaches both logits alike: through the difference of their weights.
        reaches = shared[rows] @ np.abs(weight[winner] - weight).T
        bounds[rows] = (reaches + rounding[rows][:, [winner]] + rounding[rows]) * OUTWARD
        margins[rows] = logits[rows][:, [winner]] - logits[rows]
    one_each = np.arange(len(logits))
    headroom = margins - bounds
    headroom[one_each, predictions] = np.inf
    rivals = headroom.argmin(1)
    exceeds = margins * (2 - OUTWARD) > bounds
    exceeds[one_each, predictions] = True
    certified = exceeds.all(1) & finite
    margins, bounds = margins[one_each, rivals], bounds[one_each, rivals]
    return Bounds(logits, np.where(finite[:, None], errors, np.inf), predictions, rivals, margins, bounds, certified)
