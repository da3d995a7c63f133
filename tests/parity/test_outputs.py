"""Probabilities and their logarithms under attack: whatever a float32 runtime does, it stays within their bounds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.core.signature import Signature
from mnist_bench.core.types import Configuration
from mnist_bench.parity import Bounds, Inputs, compare
from mnist_bench.parity._outputs import KINDS, Output, answered, bounded, rounded
from tests.parity.float32 import F32
from tests.parity.test_certificate import random_images, random_weights

IMAGES, CLASSES = 400, 10
f32 = np.float32
Way = Callable[[F32], F32]


def drawn(seed: int, scale: float, error: float) -> Bounds:
    """Draw logits and what may be wrong with them; of the last images the two largest are nearly the same."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, scale, (IMAGES, CLASSES))
    first, second = np.argsort(logits, axis=1)[-100:, [-1, -2]].T
    rows = np.arange(IMAGES - 100, IMAGES)
    logits[rows, second] = logits[rows, first] - random.random(100) * 4 * error
    errors = error * random.uniform(0.5, 1, logits.shape)
    ordered = np.argsort(logits, axis=1)
    best, rival = ordered[:, -1], ordered[:, -2]
    one_each = np.arange(IMAGES)
    margins = logits[one_each, best] - logits[one_each, rival]
    # Of every pair, so that no other class can be nearer.
    margin_bounds = errors[one_each, best] + errors.max(1)
    return Bounds(logits, errors, best, rival, margins, margin_bounds, margins > margin_bounds)


def softmaxes() -> dict[str, Way]:
    def usual(z: F32) -> F32:
        exponentials = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(1, keepdims=True), f32)

    def by_reciprocal(z: F32) -> F32:
        exponentials = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(exponentials * (f32(1) / exponentials[:, ::-1].cumsum(1)[:, -1:]), f32)

    def imprecise(z: F32) -> F32:
        """Err by several ulp in every exponential."""
        off = np.random.default_rng(0).integers(-7, 8, z.shape).astype(f32) * f32(2.0**-23)
        exponentials = np.exp(z - z.max(1, keepdims=True)) * (1 + off)
        return np.asarray(exponentials / exponentials.sum(1, keepdims=True), f32)

    return {"usual": usual, "by reciprocal": by_reciprocal, "imprecise": imprecise}


def log_softmaxes() -> dict[str, Way]:
    def usual(z: F32) -> F32:
        below = z - z.max(1, keepdims=True)
        return np.asarray(below - np.log(np.exp(below).sum(1, keepdims=True)), f32)

    def logarithm(way: Way) -> Way:
        return lambda z: np.asarray(np.log(way(z)), f32)

    return {"usual": usual} | {f"logarithm, {name}": logarithm(way) for name, way in softmaxes().items()}


WAYS: dict[Output, dict[str, Way]] = {"softmax": softmaxes(), "log-softmax": log_softmaxes()}


def attacks(bounds: Bounds) -> list[F32]:
    """Return float32 logits within the bounds: anywhere, at the ends, and with the best and its rival at theirs."""
    random = np.random.default_rng(1)
    nearer = np.where(np.arange(CLASSES) == bounds.predictions[:, None], -1.0, 1.0)
    signs = [
        random.uniform(-1, 1, bounds.logits.shape),
        random.choice([-1.0, 1.0], bounds.logits.shape),
        nearer,
        -nearer,
    ]
    # A little inward: what is rounded to float32 must not leave.
    return [(bounds.logits + 0.95 * sign * bounds.logit_bounds).astype(f32) for sign in signs]


@pytest.mark.parametrize("output", WAYS)
@pytest.mark.parametrize(("scale", "error"), [(1.0, 1e-2), (6.0, 1e-3), (6.0, 1e-4), (15.0, 1e-3), (3.0, 0.5)])
def test_no_way_to_evaluate_leaves_the_bounds(output: Output, scale: float, error: float) -> None:
    bounds = drawn(0, scale, error)
    found = bounded(bounds, output)
    assert (found.predictions == bounds.predictions).all()
    assert not (found.certified & ~bounds.certified).any()
    assert found.certified.sum() > 0.95 * bounds.certified.sum()
    used = 0.0
    for logits in attacks(bounds):
        for name, way in WAYS[output].items():
            given = way(logits).astype(np.float64)
            off = np.abs(given - found.logits)
            finite = np.isfinite(given)
            assert (off <= found.logit_bounds)[finite].all(), name
            assert not ((given.argmax(1) != found.predictions) & found.certified).any(), name
            used = max(used, float((off / found.logit_bounds)[finite].max()))
    assert used > 0.5  # the bounds are not vacuous


def test_the_attack_is_not_blind() -> None:
    bounds = drawn(0, 6.0, 1e-3)
    found = bounded(bounds, "softmax")
    worse = replace(bounds, logit_bounds=3 * bounds.logit_bounds)
    off = [np.abs(WAYS["softmax"]["usual"](logits) - found.logits) for logits in attacks(worse)]
    assert any((one > found.logit_bounds).any() for one in off)


def test_what_may_overflow_may_be_any_probability() -> None:
    bounds = drawn(0, 6.0, 1e-3)
    bounds.logit_bounds[3] = np.inf
    bounds = replace(bounds, certified=bounds.certified & np.isfinite(bounds.logit_bounds).all(1))
    found = bounded(bounds, "softmax")
    assert (found.logit_bounds[3] >= np.maximum(found.logits[3], 1 - found.logits[3])).all()
    assert not found.certified[3]
    assert np.isinf(bounded(bounds, "log-softmax").logit_bounds[3]).all()
    assert np.isfinite(bounded(bounds, "log-softmax").margin_bounds).all()


@pytest.mark.parametrize("output", WAYS)
def test_a_difference_of_logits_moves_an_output_by_its_slope_at_most(output: Output) -> None:
    logits, off = drawn(2, 3.0, 1e-3).logits, 1e-4
    moved = max(
        float(np.abs(answered(logits + sign, output) - answered(logits, output)).max())
        for sign in off * np.random.default_rng(3).choice([-1.0, 1.0], (50, *logits.shape))
    )
    assert 0.7 * KINDS[output].slope * off < moved <= 1.001 * KINDS[output].slope * off


# Answers that are rounded to half precision


@pytest.mark.parametrize("output", ["logits", *WAYS])
@pytest.mark.parametrize("scale", [0.5, 10.0, 60.0])
def test_answers_rounded_to_float16_stay_within_their_bounds(output: Output, scale: float) -> None:
    """The largest of them too, of every image that is certified: rounding makes neighbours equal."""
    bounds = drawn(12, scale, 1e-3)
    found = rounded(bounded(bounds, output), output, "float16")
    ties = 0
    for sign in np.random.default_rng(13).choice([-1.0, 1.0], (20, *bounds.logits.shape)):
        exact = answered(bounds.logits + sign * bounds.logit_bounds * 0.999, output)
        given = exact.astype(np.float16)
        assert (np.abs(given.astype(np.float64) - found.logits) <= found.logit_bounds).all()
        assert (given.argmax(1) == bounds.predictions)[found.certified].all()
        ordered = np.sort(given, axis=1)
        assert (ordered[:, -1] > ordered[:, -2])[found.certified].all()
        ties += int((ordered[:, -1] == ordered[:, -2])[bounds.certified].sum())
    assert ties or output != "logits" or scale < 10  # which a certificate without the rounding would have let pass
    assert found.certified.sum() >= bounds.certified.sum() - 100


def test_what_float16_cannot_hold_is_not_certified() -> None:
    bounds = drawn(14, 30_000.0, 1e-3)
    found = rounded(bounds, "logits", "float16")
    beyond = np.abs(bounds.logits).max(1) >= 65504
    assert beyond.any()
    assert not found.certified[beyond].any()
    assert rounded(bounds, "logits", "float64") is bounds


def test_answers_in_float16_are_compared_as_such() -> None:
    plain = inputs()
    found = plain.given_by(Signature(answers="float16"))
    right = plain.bounds.logits.astype(np.float16).astype(f32)
    assert compare(plain, right, CONFIGURATION).failures
    result = compare(found, right, CONFIGURATION)
    assert (result.failures, result.rung) == ((), 6)
    assert result.smallest_tolerance_eps == 0
    assert compare(found.first(7), right[:7], CONFIGURATION).failures == ()
    neighbour = np.nextafter(right.astype(np.float16), np.float16(np.inf)).astype(f32)
    assert "beyond the rounding to float16" in " ".join(compare(found, neighbour, CONFIGURATION).failures)


# What is compared


def inputs() -> Inputs:
    from mnist_bench.parity import certify

    weights, images = random_weights(11, (40, 30, 20, 10), 0.4, "relu"), random_images(11, 40, "pixels")
    bounds = certify(weights, images)
    return Inputs(images, bounds.predictions[:16].astype(np.uint8), ("a", "b", "c", "d"), bounds)


CONFIGURATION = Configuration(
    runtime="r", version="1", format="onnx", precision="fp32", device="cpu", provider="p", threads=1, batch_size=7
)


@pytest.mark.parametrize("output", WAYS)
def test_answers_are_compared_with_what_a_network_gives_that_ends_so(output: Output) -> None:
    plain = inputs()
    found = plain.under(output)
    assert (found.reference == plain.bounds.logits).all()
    assert found.tolerance > KINDS[output].slope * plain.tolerance
    right = WAYS[output]["usual"](plain.bounds.logits.astype(f32))
    assert compare(found, right, CONFIGURATION).failures == ()
    for logits in (plain.bounds.logits.astype(f32), right):
        other = logits.copy()
        other[3, 0] += f32(2 * found.tolerance)
        assert compare(found, other, CONFIGURATION).failures
    assert compare(plain, right, CONFIGURATION).failures
    assert (found.scales == plain.scales).all()
    for part in (found.first(7), found.only(np.arange(7))):
        assert (part.reference == plain.bounds.logits[:7]).all()
        assert part.tolerance == found.tolerance
        assert part.output == output


def test_logits_stay_as_they_are() -> None:
    plain = inputs()
    assert plain.under("logits") is plain
    assert bounded(plain.bounds, "logits") is plain.bounds


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True), np.float64)


def test_the_reference_s_probabilities_are_probabilities() -> None:
    logits = drawn(4, 8.0, 1e-3).logits
    assert np.allclose(answered(logits, "softmax"), probabilities(logits), rtol=1e-12)
    assert np.allclose(answered(logits, "log-softmax"), np.log(probabilities(logits)), rtol=1e-9, atol=1e-12)
    far = np.array([[1e5, 0.0, -1e5]])
    assert answered(far, "softmax").tolist() == [[1.0, 0.0, 0.0]]
    assert answered(far, "log-softmax").tolist() == [[0.0, -1e5, -2e5]]
