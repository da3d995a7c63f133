"""The certificate under attack: whatever a float32 runtime does, it stays within the bound."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from mnist_bench.core.kinds import Activation
from mnist_bench.parity import Bounds, Weights, certify
from mnist_bench.parity._certificate import SIGMOID_FLOOR, SIGMOID_ULPS, TINY, U32, U64, gamma
from tests.parity import float32

IMAGES = 20
CASES_PER_EXAMPLE = IMAGES * len(float32.DOTS)
EXAMPLES = 500  # times 20 images times 6 orders: 60,000 cases


def random_weights(seed: int, sizes: tuple[int, ...], scale: float, activation: Activation) -> Weights:
    """Draw float32 weights; a tenth of them zero, a tenth a thousand times smaller, as trained weights vary."""
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float64]:
        values = random.normal(0, scale, shape)
        values *= random.choice([0.0, 1e-3, 1.0], shape, p=[0.1, 0.1, 0.8])
        return values.astype(np.float32).astype(np.float64)

    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    return Weights(tuple((draw(n_out, n_in), draw(n_out)) for n_out, n_in in pairs), activation)


def random_images(seed: int, pixels: int, kind: str) -> float32.F32:
    random = np.random.default_rng(seed)
    images = random.random((IMAGES, pixels), np.float32)
    if kind == "pixels":
        images = (random.integers(0, 256, images.shape) / np.float32(255)).astype(np.float32)
    elif kind == "sparse":
        images *= random.random(images.shape) < 0.1
    elif kind == "subnormal":
        images *= np.float32(1e-38)
    return images


NETWORKS = st.builds(
    random_weights,
    seed=st.integers(0, 2**32),
    sizes=st.tuples(*(st.integers(1, size) for size in (60, 40, 30)), st.integers(2, 10)),
    scale=st.sampled_from([1e-3, 0.05, 0.3, 1.0, 30.0]),
    activation=st.sampled_from(["relu", "sigmoid"]),
)
KINDS = st.sampled_from(["uniform", "pixels", "sparse", "subnormal"])


def attack(weights: Weights, images: float32.F32, bounds: Bounds, bias_first: bool) -> int:
    """Evaluate in every order; return how many cases stayed within the bound, and fail at the first that did not."""
    squash = float32.coarse_sigmoid if bias_first else float32.sigmoid
    for name, dot in float32.DOTS.items():
        answer = float32.logits(weights, images, dot, bias_first, squash)
        excess = np.abs(answer.astype(np.float64) - bounds.logits) - bounds.logit_bounds
        assert (excess <= 0).all(), (name, excess.max())
        flipped = answer.argmax(1) != bounds.predictions
        assert not (flipped & bounds.certified).any(), name
    return len(images) * len(float32.DOTS)


def check(weights: Weights, seed: int, kind: str, bias_first: bool) -> int:
    images = random_images(seed, weights.layers[0][0].shape[1], kind)
    return attack(weights, images, certify(weights, images), bias_first)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(NETWORKS, st.integers(0, 2**32), KINDS, st.booleans())
def test_no_order_of_summation_exceeds_the_bound(weights: Weights, seed: int, kind: str, bias_first: bool) -> None:
    assert check(weights, seed, kind, bias_first) == CASES_PER_EXAMPLE


def test_the_suite_attacks_at_least_ten_thousand_times() -> None:
    assert EXAMPLES * CASES_PER_EXAMPLE >= 10_000


@pytest.mark.torture
@settings(max_examples=50_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NETWORKS, st.integers(0, 2**32), KINDS, st.booleans())
def test_no_order_of_summation_exceeds_the_bound_for_long(
    weights: Weights, seed: int, kind: str, bias_first: bool
) -> None:
    assert check(weights, seed, kind, bias_first) == CASES_PER_EXAMPLE


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_the_attack_can_succeed(activation: Activation) -> None:
    """A bound that is a little too small for one order is found: the attack is not blind."""
    weights = random_weights(1, (60, 40, 30, 10), 1.0, activation)
    images = random_images(2, 60, "uniform")
    bounds = certify(weights, images)
    worst = np.abs(float32.logits(weights, images, float32.forward, False, float32.sigmoid) - bounds.logits).max()
    tight = Bounds(**(bounds.__dict__ | {"logit_bounds": np.full_like(bounds.logit_bounds, worst * 0.9)}))
    with pytest.raises(AssertionError, match="forward"):
        attack(weights, images, tight, bias_first=False)


def test_the_bound_is_not_vacuous() -> None:
    """The largest error found is within a factor of the bound that says that it describes rounding at all."""
    weights = random_weights(1, (60, 40, 30, 10), 0.3, "relu")
    images = random_images(2, 60, "uniform")
    bounds = certify(weights, images)
    answers = [float32.logits(weights, images, dot, False, float32.sigmoid) for dot in float32.DOTS.values()]
    worst = max((np.abs(answer - bounds.logits) / bounds.logit_bounds).max() for answer in answers)
    assert 1e-3 < worst < 1


def exact_bounds(weights: Weights, images: float32.F32) -> list[list[Fraction]]:
    """The formula of the derivation for a ReLU network, in exact arithmetic, for every logit."""
    per_image = []
    for image in images:
        values = [Fraction(float(x)) for x in image]
        errors = [Fraction(0)] * len(values)
        for index, (weight, bias) in enumerate(weights.layers):
            if index:
                pairs = list(zip(values, errors, strict=True))
                errors = [e if v >= 0 else max(v + e, Fraction(0)) for v, e in pairs]
                values = [max(v, Fraction(0)) for v in values]
            values, errors = exact_dense(values, errors, weight.tolist(), bias.tolist())
        per_image.append(errors)
    return per_image


def exact_dense(
    values: list[Fraction], errors: list[Fraction], weight: list[list[float]], bias: list[float]
) -> tuple[list[Fraction], list[Fraction]]:
    terms = len(values) + 1
    factor = Fraction(gamma(terms, U32)) + Fraction(gamma(terms, U64))
    largest = 4 + max(abs(Fraction(w)) for row in weight for w in row) + max(abs(Fraction(b)) for b in bias)
    largest += max(abs(v) + e for v, e in zip(values, errors, strict=True))
    new_values, new_errors = [], []
    for row, b in zip(weight, bias, strict=True):
        w = [Fraction(x) for x in row]
        magnitude = sum((abs(v) + e) * abs(x) for v, e, x in zip(values, errors, w, strict=True)) + abs(Fraction(b))
        passed_on = sum(e * abs(x) for e, x in zip(errors, w, strict=True))
        new_values.append(sum(v * x for v, x in zip(values, w, strict=True)) + Fraction(b))
        new_errors.append(factor * magnitude + terms * Fraction(TINY) * largest + passed_on)
    return new_values, new_errors


@pytest.mark.parametrize("seed", range(10))
def test_the_bounds_are_rounded_outward(seed: int) -> None:
    weights = random_weights(seed, (12, 9, 7, 5), 0.3, "relu")
    images = random_images(seed, 12, "pixels")[:5]
    found = certify(weights, images).logit_bounds
    for row, exact in zip(found, exact_bounds(weights, images), strict=True):
        for bound, needed in zip(row, exact, strict=True):
            # The exact formula uses exact centres; the reference's differ by far less than the outward margin.
            assert Fraction(float(bound)) >= needed * (1 - Fraction(1, 2**45))
            assert float(bound) <= float(needed) * (1 + 1e-9)


def test_a_weight_perturbed_past_the_headroom_loses_the_certificate() -> None:
    weights = random_weights(3, (30, 20, 10, 4), 0.5, "relu")
    images = random_images(3, 30, "pixels")
    bounds = certify(weights, images)
    image = int(np.flatnonzero(bounds.certified)[0])
    bound = bounds.margin_bounds[image]
    headroom = bounds.margins[image] - bound
    for moved_by, certified in ((headroom - bound / 2, True), (headroom + bound / 2, False)):
        *hidden, (weight, bias) = weights.layers
        moved = bias.copy()
        moved[bounds.rivals[image]] += moved_by
        assert certify(Weights((*hidden, (weight, moved)), "relu"), images).certified[image] == certified


def test_a_tie_is_never_certified() -> None:
    same = np.ones((2, 3))
    weights = Weights(((np.ones((3, 4)), np.zeros(3)), (np.ones((3, 3)), np.zeros(3)), (same, np.zeros(2))), "relu")
    assert not certify(weights, np.ones((1, 4), np.float32)).certified.any()


def test_the_rival_is_the_class_with_the_least_headroom() -> None:
    weights = random_weights(5, (30, 20, 10, 6), 0.5, "sigmoid")
    bounds = certify(weights, random_images(5, 30, "pixels"))
    for row, (winner, rival) in enumerate(zip(bounds.predictions, bounds.rivals, strict=True)):
        assert winner != rival
        assert bounds.margins[row] == bounds.logits[row, winner] - bounds.logits[row, rival]


def test_gamma_is_higham_s() -> None:
    assert gamma(785, U32) == pytest.approx(785 * 2**-24 / (1 - 785 * 2**-24))


def sigmoids() -> dict[str, Callable[[float32.F32], float32.F32]]:
    """The sigmoids of the runtimes that are present, each as they run it."""
    import onnx
    import onnxruntime
    import torch

    kinds = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Sigmoid", ["x"], ["y"])], "sigmoid", kinds[:1], kinds[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return {
        "torch": lambda x: torch.sigmoid(torch.from_numpy(x)).numpy(),
        "onnxruntime": lambda x: np.asarray(session.run(None, {"x": x})[0], np.float32),
        "coarse": float32.coarse_sigmoid,
    }


@pytest.mark.processors
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "coarse"])
def test_the_sigmoids_that_are_here_keep_the_assumption(name: str) -> None:
    arguments = np.linspace(-100, 100, 4_000_001).astype(np.float32)
    exact = expit(arguments.astype(np.float64))
    error = np.abs(sigmoids()[name](arguments).astype(np.float64) - exact)
    allowed = SIGMOID_ULPS * np.spacing(exact.astype(np.float32)).astype(np.float64) + SIGMOID_FLOOR
    assert (error <= allowed).all(), (error / allowed).max()


def test_a_sigmoid_of_eight_ulp_alone_would_not_cover_onnxruntime() -> None:
    """The floor is needed: without it the assumption is false for a runtime that ships."""
    arguments = np.linspace(-18, -2, 1_000_001).astype(np.float32)
    exact = expit(arguments.astype(np.float64))
    error = np.abs(sigmoids()["onnxruntime"](arguments) - exact)
    assert (error > SIGMOID_ULPS * np.spacing(exact.astype(np.float32))).any()


@pytest.mark.parametrize("scale", [1e38, 3e38])
def test_where_a_partial_sum_could_overflow_nothing_is_certified(scale: float) -> None:
    layer = np.array([[scale, scale, -scale, -scale]]).astype(np.float32).astype(np.float64)
    last = (np.array([[1.0], [0.0]]), np.array([1.0, 0.0]))
    weights = Weights(((layer, np.zeros(1)), (np.ones((1, 1)), np.zeros(1)), last), "relu")
    bounds = certify(weights, np.ones((1, 4), np.float32))
    assert not bounds.certified.any()
    assert np.isinf(bounds.logit_bounds).all()
