import numpy as np
import pytest

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import RUNGS, Configuration, ParityResult
from mnist_bench.parity import Inputs, Weights, certify, compare
from mnist_bench.parity._compare import equal_bits
from mnist_bench.parity._int8 import Int8Bounds
from tests.parity.float32 import F32
from tests.parity.test_certificate import random_images, random_weights

TESTS = 16  # of 20 images; the other four stand for edge images
pytestmark = pytest.mark.processors


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(11, (40, 30, 20, 10), 0.4, "relu")


@pytest.fixture(scope="module")
def inputs(weights: Weights) -> Inputs:
    images = random_images(11, 40, "pixels")
    bounds = certify(weights, images)
    return Inputs(images, bounds.predictions[:TESTS].astype(np.uint8), ("a", "b", "c", "d"), bounds)


def configuration(precision: Precision = "fp32") -> Configuration:
    return Configuration(
        runtime="r",
        version="1",
        format="onnx",
        precision=precision,
        device="cpu",
        provider="p",
        threads=1,
        batch_size=7,
    )


def answer(inputs: Inputs) -> F32:
    return inputs.bounds.logits.astype(np.float32)


def judge(inputs: Inputs, logits: F32, precision: Precision = "fp32") -> ParityResult:
    return compare(inputs, logits, configuration(precision))


def rung(result: ParityResult) -> str:
    return RUNGS[result.rung]


def uncertified(inputs: Inputs, image: int) -> Inputs:
    """The same, with one image's certificate taken away."""
    certified = inputs.bounds.certified.copy()
    certified[image] = False
    bounds = type(inputs.bounds)(**(inputs.bounds.__dict__ | {"certified": certified}))
    return Inputs(inputs.images, inputs.labels, inputs.edges, bounds)


def flip(inputs: Inputs, logits: F32, image: int) -> F32:
    """Let the second-best class win by a hair."""
    changed = logits.copy()
    best, second = np.argsort(changed[image])[::-1][:2]
    changed[image, second] = np.nextafter(changed[image, best], np.float32(np.inf))
    return changed


def test_the_reference_rounded_stands_on_top(inputs: Inputs) -> None:
    result = judge(inputs, answer(inputs))
    assert rung(result) == "bitwise"
    assert result.correct == TESTS
    assert result.failures == ()
    assert result.largest_ulp is not None
    assert result.largest_ulp <= 0.5


def test_one_ulp_is_within_tolerance(inputs: Inputs) -> None:
    logits = answer(inputs)
    logits[3, 2] = np.nextafter(logits[3, 2], np.float32(np.inf))
    result = judge(inputs, logits)
    assert (rung(result), result.failures) == ("within tolerance", ())


def test_leaving_the_tolerance_fails_though_no_prediction_changes(inputs: Inputs) -> None:
    logits = answer(inputs)
    winner = logits[5].argmax()
    logits[5, winner] += np.float32(2 * inputs.tolerance)
    result = judge(inputs, logits)
    assert rung(result) == "all predictions"
    assert "1 images leave the tolerance" in result.failures[0]
    assert result.smallest_tolerance_eps == pytest.approx(64, rel=0.05)


def test_a_flip_on_a_certified_image_fails(inputs: Inputs) -> None:
    result = judge(inputs, flip(inputs, answer(inputs), 4))
    assert inputs.bounds.certified[4]
    assert rung(result) == "finite"
    assert "1 certified images are predicted differently" in result.failures
    assert [deviation.image for deviation in result.deviations] == [4]
    assert result.correct == TESTS - 1


def proved(inputs: Inputs) -> Int8Bounds:
    """A certificate of a quantised file that answers as the reference does."""
    images = len(inputs.images)
    return Int8Bounds(inputs.bounds, np.zeros(images, np.bool_), (), np.zeros(images, np.int64))


def test_a_quantised_file_is_held_to_its_own_certificate(inputs: Inputs) -> None:
    held = compare(inputs, answer(inputs), configuration("int8"), proved(inputs))
    assert (held.failures, held.beyond_bound) == ((), 0)
    flipped = compare(inputs, flip(inputs, answer(inputs), 4), configuration("int8"), proved(inputs))
    assert "1 images that the int8 certificate covers are predicted differently" in flipped.failures
    assert flipped.beyond_bound == 1
    assert "1 logits lie outside" in flipped.failures[-1]
    without = compare(inputs, flip(inputs, answer(inputs), 4), configuration("int8"))
    assert without.failures == ()  # one flip is allowed where nothing is proved


def test_probes_show_other_weights_in_a_quantised_file_with_a_certificate(inputs: Inputs) -> None:
    probing = Inputs(inputs.images, inputs.labels, inputs.edges[:2], inputs.bounds, probes=2)
    assert compare(probing, answer(inputs), configuration("int8"), proved(inputs)).failures == ()
    changed = answer(inputs)
    changed[-1] += np.float32(0.01)
    (failure,) = compare(probing, changed, configuration("int8"), proved(inputs)).failures
    assert "1 of 2 probes" in failure
    assert compare(probing, changed, configuration("int8")).failures == ()


def test_a_flip_on_an_edge_image_fails_too(inputs: Inputs) -> None:
    result = judge(inputs, flip(inputs, answer(inputs), TESTS + 1))
    assert result.failures
    assert result.correct == TESTS


def test_a_flip_without_a_certificate_is_a_tie_only_within_tolerance(inputs: Inputs) -> None:
    open_question = uncertified(inputs, 4)
    far = judge(open_question, flip(inputs, answer(inputs), 4))
    assert (rung(far), far.ties) == ("certified predictions", 0)
    assert "leave the tolerance" in far.failures[0]

    logits = open_question.bounds.logits.copy()
    best, second = np.argsort(logits[4])[::-1][:2]
    logits[4, second] = logits[4, best] - inputs.tolerance / 8
    bounds = type(inputs.bounds)(**(open_question.bounds.__dict__ | {"logits": logits}))
    close = Inputs(inputs.images, inputs.labels, inputs.edges, bounds)
    result = judge(close, flip(close, answer(close), 4))
    assert (rung(result), result.ties) == ("certified predictions", 1)
    assert not [failure for failure in result.failures if "tolerance" in failure or "certified" in failure]


def test_a_difference_beyond_the_bound_fails_loudly(inputs: Inputs) -> None:
    logits = answer(inputs)
    logits[7] += np.float32(2) * inputs.bounds.logit_bounds[7].max().astype(np.float32)
    result = judge(inputs, logits)
    assert result.beyond_bound >= 1
    assert "outside the certificate's bound: this is not this network in float32" in result.failures[-1]


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_fail(poison: float, inputs: Inputs) -> None:
    logits = answer(inputs)
    logits[2, 1] = poison
    result = judge(inputs, logits)
    assert (rung(result), result.failures) == ("shape and dtype", ("1 images have logits that are not finite",))


@pytest.mark.parametrize(
    "shape",
    [
        lambda a: a[:-1],
        lambda a: a[:, :-1],
        lambda a: a[None],
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.float16),
    ],
)
def test_another_shape_or_type_is_not_compared(shape, inputs: Inputs) -> None:  # type: ignore[no-untyped-def]
    result = judge(inputs, shape(answer(inputs)))
    assert rung(result) == "none"
    assert "instead of float32 (20, 10)" in result.failures[0]


def test_comparing_nothing_is_an_error(inputs: Inputs) -> None:
    nothing = Inputs(inputs.images[:0], inputs.labels[:0], (), inputs.bounds)
    with pytest.raises(ValueError, match="no images"):
        judge(nothing, np.zeros((0, 10), np.float32))


@pytest.mark.parametrize(
    ("precision", "flips", "words"),
    [
        ("fp16", 2, ()),
        ("fp16", 3, ("3 flips, allowed 2",)),
        ("int8", 0, ()),
        ("int8", 1, ()),  # of so few images, one is no share
        ("int8", 2, ("2 of 16 predictions differ, allowed 0.2%", "accuracy is 12.50 points lower, allowed 0.1")),
    ],
)
def test_lower_precisions_have_tiers_of_their_own(
    precision: Precision, flips: int, words: tuple[str, ...], inputs: Inputs
) -> None:
    logits = answer(inputs)
    for image in range(flips):
        best, second = np.argsort(logits[image])[::-1][:2]
        logits[image, best] = logits[image, second] - np.float32(1e-3)
    result = judge(inputs, logits, precision)
    assert [failure for failure in result.failures if "|Δlogit|" not in failure] == list(words)


def test_sums_in_half_are_held_to_a_tier_of_their_own(inputs: Inputs) -> None:
    logits = answer(inputs)
    logits[2] += np.float32(0.3)
    stored = compare(inputs, logits, configuration("fp16"), None, "fp32")
    assert (stored.tier, stored.failures) == ("11 bits stored", ("largest |Δlogit| 0.3, allowed 0.02",))
    summed = compare(inputs, logits, configuration("fp16"), None, "fp16")
    assert (summed.tier, summed.failures) == ("sums in half", ())
    logits[2] += np.float32(0.3)
    assert compare(inputs, logits, configuration("fp16"), None, "fp16").failures
    assert compare(inputs, logits, configuration("fp32"), None, "fp16").tier == ""


def test_fp16_may_not_differ_by_more_than_its_tier(inputs: Inputs) -> None:
    logits = answer(inputs)
    logits[0, logits[0].argmax()] += np.float32(0.03)
    assert judge(inputs, logits, "fp16").failures == ("largest |Δlogit| 0.03, allowed 0.02",)
    assert judge(inputs, logits, "int8").failures == ()


def test_bits_are_compared_image_by_image() -> None:
    one = np.array([[1.0, 2.0], [0.0, 3.0]], np.float32)
    other = np.array([[1.0, 2.0], [-0.0, 3.0]], np.float32)
    assert equal_bits(one, other).tolist() == [True, False]
    assert equal_bits(one.T, one.T.copy()).all()
