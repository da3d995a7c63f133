"""The certificate for int8 under attack: however a quantised network is computed, it stays within the intervals."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation
from mnist_bench.parity import _int8
from mnist_bench.parity._certificate import Sums
from mnist_bench.parity._int8 import Int8Bounds, certify_steps
from mnist_bench.parity._reference import Array
from mnist_bench.parity._steps import Activate, NotCovered, Product, Quantise, QuantiseByRange, Shift, Step
from tests.parity.int8_kernels import CONFORMING, EXACT, PAIRS, Way, answer, saturating

IMAGES, NETWORKS, TORTURED = 64, 24, 1200
"""Of each network 64 images are computed in 12 ways: 18,000 cases in the suite, nearly a million behind the marker."""

F32 = np.float32


class Drawn:
    """A random quantised network, and images for it."""

    def __init__(self, seed: int, *, bits: int = 7, dynamic: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.activation: Activation = "relu" if seed % 2 else "sigmoid"
        # Of two thirds all scales are powers of two, so that many sums become halves: of one third, nearly.
        self.binary, self.nearly = seed % 3 < 2, seed % 3 == 1
        # Small sums of small integers are halves more often; large ones are rounded more often in float32.
        self.bits = min(bits, 3) if self.binary else bits
        sizes = [
            int(self.random.integers(*ends)) for ends in ((4, 30 if self.binary else 300), (3, 60), (3, 40), (2, 8))
        ]
        self.images = self.random.integers(0, 256, (IMAGES, sizes[0])).astype(F32) / F32(255)
        self.images[self.random.random(self.images.shape) < 0.5] = 0
        self.steps = self.by_range(sizes) if dynamic else self.static(sizes)

    def product(self, outputs: int, inputs: int, scale: float | None) -> Product:
        """Draw integers, and what one of them stands for."""
        largest = 2 ** (self.bits - 1)
        integers = self.random.integers(-largest + 1, largest, (outputs, inputs))
        unit = 2.0**-6 * self.random.choice([1.0, 0.5, 2.0] if self.binary else [1.3, 0.5, 0.7], outputs)
        unit = np.nextafter(unit.astype(F32), F32(self.nearly)).astype(np.float64) if self.nearly else unit
        unit = unit.astype(F32).astype(np.float64)
        weight = integers * unit[:, None]
        if scale is None:
            return Product(weight, np.zeros(outputs), integers, unit)
        multiplier = (F32(scale) * unit.astype(F32)).astype(np.float64)
        bias = self.random.integers(-2000, 2000, outputs) * multiplier
        return Product(weight, bias, integers, unit, multiplier)

    def quantise(self, values: NDArray[np.float64]) -> Quantise:
        """Choose a grid that holds the values, most of them."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-3)
        scale = float(F32((high - low) / 255))
        scale = 2.0 ** float(np.ceil(np.log2(scale))) if self.binary else scale
        signed = bool(self.random.integers(2))
        zero = int(np.clip(np.rint(-low / scale), 0, 255)) - 128 * signed
        return Quantise(scale, zero, -128 * signed, 255 - 128 * signed)

    def static(self, sizes: Sequence[int]) -> list[Step]:
        steps: list[Step] = [self.quantise(self.images.astype(np.float64))]
        for inputs, outputs in pairwise(sizes[:-1]):
            grid = next(step for step in reversed(steps) if isinstance(step, Quantise))
            steps.append(self.product(outputs, inputs, grid.scale))
            if self.activation == "sigmoid":
                steps += [self.quantise(self.reached(steps)), Activate("sigmoid")]
                steps.append(self.quantise(self.reached(steps)))
            else:
                steps += [Activate("relu")] * int(self.random.integers(2))  # as a node of its own, or by its clipping
                steps.append(self.quantise(np.maximum(self.reached(steps), 0)))
        # Of every other network the logits are nearly the same: what rounds otherwise flips.
        likeness = self.random.choice([0.01, 1.0])
        weight = self.random.normal(0, 0.3, sizes[-2]) + likeness * self.random.normal(0, 0.3, (sizes[-1], sizes[-2]))
        bias = likeness * self.random.normal(0, 0.1, sizes[-1])
        return [*steps, Product(weight.astype(F32).astype(np.float64), bias.astype(F32).astype(np.float64))]

    def by_range(self, sizes: Sequence[int]) -> list[Step]:
        steps: list[Step] = []
        for inputs, outputs in pairwise(sizes):
            steps += [QuantiseByRange(), self.product(outputs, inputs, None)]
            steps.append(Shift(self.random.normal(0, 0.1, outputs).astype(F32).astype(np.float64)))
            steps.append(Activate(self.activation))
        return steps[:-1]

    def reached(self, steps: Sequence[Step]) -> NDArray[np.float64]:
        return answer(steps, self.images, EXACT[0]).astype(np.float64)


def attack(drawn: Drawn, found: Int8Bounds, ways: Sequence[Way], *, together: bool = False) -> float:
    """Compute in every way; return how much of a bound was used at most, and fail where one was exceeded."""
    used = 0.0
    for way in ways:
        given = answer(drawn.steps, drawn.images, way, together=together)
        off = np.abs(given.astype(np.float64) - found.bounds.logits)
        assert (off <= found.bounds.logit_bounds).all(), (way, (off - found.bounds.logit_bounds).max())
        flipped = given.argmax(1) != found.bounds.predictions
        assert not (flipped & found.bounds.certified).any(), way
        used = max(used, float((off / found.bounds.logit_bounds).max()))
    return used


def attacked(seed: int, *, dynamic: bool) -> tuple[int, float]:
    """Attack a network; return how many of its images were certified, and how much of a bound was used."""
    drawn = Drawn(seed, dynamic=dynamic)
    found = certify_steps(drawn.steps, drawn.images)
    used = attack(drawn, found, CONFORMING)
    if dynamic:
        used = max(
            used, attack(drawn, certify_steps(drawn.steps, drawn.images, batches=True), CONFORMING, together=True)
        )
    return int(found.bounds.certified.sum()), used


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "by range"])
def test_no_way_to_compute_leaves_the_intervals(dynamic: bool) -> None:
    results = [attacked(seed, dynamic=dynamic) for seed in range(NETWORKS)]
    assert sum(certified for certified, _ in results) > NETWORKS * IMAGES / 2
    assert max(used for _, used in results) > 0.5  # the intervals are not vacuous


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "by range"])
def test_no_way_in_a_million_leaves_the_intervals(dynamic: bool) -> None:
    for seed in range(NETWORKS, NETWORKS + TORTURED):
        attacked(seed, dynamic=dynamic)


@pytest.mark.parametrize("seed", range(8))
def test_signed_bytes_with_a_scale_of_each_image_stay_within_and_never_saturate(seed: int) -> None:
    drawn = Drawn(seed, bits=8, dynamic=True)
    of_any = certify_steps(drawn.steps, drawn.images)
    drawn.steps = [QuantiseByRange(signed=True) if isinstance(step, QuantiseByRange) else step for step in drawn.steps]
    found = certify_steps(drawn.steps, drawn.images, batches=True)
    attack(drawn, found, CONFORMING, together=True)
    assert not found.saturates.any()
    assert found.bounds.certified.sum() >= of_any.bounds.certified.sum()


def succeeds(seeds: range, ways: Sequence[Way]) -> int:
    """Return against how many networks an attack succeeds."""
    broken = 0
    for seed in seeds:
        drawn = Drawn(seed)
        found = certify_steps(drawn.steps, drawn.images)
        try:
            attack(drawn, found, ways)
        except AssertionError:
            broken += 1
    return broken


def exact(values: Array, errors: Array) -> Sums:
    return Sums(values, errors, np.zeros_like(errors), np.ones(len(values), np.bool_))


def test_the_attack_finds_bounds_without_the_rounding_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_halves, floats = range(1, 121, 6), [way for way in CONFORMING if way.scaling == "float"]
    assert not succeeds(nearly_halves, floats)
    monkeypatch.setattr(_int8, "ROUNDINGS", 0)
    monkeypatch.setattr(_int8, "_first_half", np.zeros_like)
    monkeypatch.setattr(_int8, "dense", lambda v, e, weight, bias, _: exact(v @ weight.T + bias, e @ np.abs(weight).T))
    assert succeeds(nearly_halves, floats)


def test_the_attack_finds_bounds_without_the_first_rounding_of_a_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = [way for way in CONFORMING if way.scaling == "fixed"]
    monkeypatch.setattr(_int8, "_first_half", np.zeros_like)
    assert succeeds(range(10), fixed)


def one_unit(grid: Quantise) -> list[Step]:
    """Two pixels' bytes are added up, halved and quantised."""
    integers = np.array([[1, 1], [1, -1]])
    unit = np.full(2, 0.5)
    product = Product(integers * 0.5, np.zeros(2), integers, unit, unit)
    return [Quantise(1.0, 0, 0, 255), product, grid, Product(np.eye(2), np.zeros(2))]


@pytest.mark.parametrize("zero", [0, -128])
def test_a_half_may_become_either_integer(zero: int) -> None:
    steps = one_unit(Quantise(1.0, zero, -128, 127))
    images = np.array([[3, 2], [3, 1]], F32)  # 2.5 and 0.5; 2 and 1
    found = certify_steps(steps, images)
    assert found.undecided.tolist() == [2, 0]
    given = {tuple(answer(steps, images, way)[0].tolist()) for way in EXACT}
    assert {2.0, 3.0} == {first for first, _ in given}
    assert found.bounds.logits[0, 0] == 2.5
    assert found.bounds.logits[1].tolist() == [2.0, 1.0]


def one_sum(scale: float, unit: float, *between: Step) -> list[Step]:
    """A pixel of so many units is multiplied by 1, and quantised with a scale of 1; the second logit lies between."""
    units, one = np.array([unit]), np.array([[1]])
    product = Product(one * units, np.zeros(1), one, units, np.array([scale * unit]))
    last = Product(np.array([[1.0], [-1.0]]), np.array([0.0, 0.5]))
    return [Quantise(scale, 0, 0, 255), product, *between, Quantise(1.0, 0, 0, 255), last]


@pytest.mark.parametrize("between", [(), (Activate("relu"),), (Shift(np.zeros(1)),)], ids=["nothing", "relu", "bias"])
def test_two_roundings_make_a_one_of_less_than_a_half(between: tuple[Step, ...]) -> None:
    """0.124 is 0.992 / 8: a sum of 4 becomes round(4 · 0.992) / 8, which is a half, and 1."""
    found = certify_steps(one_sum(1.0, float(F32(0.124)), *between), np.array([[4.0]], F32))
    assert not found.bounds.certified.any()
    assert found.bounds.logits[0, 0] == 0.5


@pytest.mark.parametrize(
    ("scale", "unit"), [(0.63489336, 0.19688345), (0.58953136, 0.21203282)], ids=["as float32", "as 31 bits"]
)
def test_a_multiplier_may_be_rounded_to_a_power_of_two(scale: float, unit: float) -> None:
    """An eighth, nearly: as 31 bits it is ½ · 2^-2, and a sum of 3 becomes round(1.5) / 4, which is a half, and 1."""
    scale, unit = float(F32(scale)), float(F32(unit))
    assert scale * unit < 0.125
    found = certify_steps(one_sum(scale, unit), np.array([[3 * scale]], F32))
    assert not found.bounds.certified.any()


def test_a_bias_must_fit_what_it_is_added_to() -> None:
    with pytest.raises(NotCovered, match="a bias of 3 numbers is added to 1"):
        certify_steps(one_sum(1.0, 0.5, Shift(np.zeros(3))), np.array([[4.0]], F32))


@pytest.mark.parametrize("seed", range(1, 21))
def test_kernels_that_saturate_stay_within_the_intervals_too(seed: int) -> None:
    drawn = Drawn(3 * seed + 2, bits=8)
    drawn.images[::2] *= F32(0.2)  # too dark to saturate
    found = certify_steps(drawn.steps, drawn.images)
    attack(drawn, found, [*CONFORMING, PAIRS])
    exact = certify_steps(without_integers(drawn.steps), drawn.images).bounds
    off = np.abs(answer(drawn.steps, drawn.images, PAIRS).astype(np.float64) - exact.logits)
    beyond = (off > exact.logit_bounds).any(1)
    assert found.saturates[beyond].all()  # whoever computes something else is among those that may
    assert (found.bounds.certified <= exact.certified).all()


def without_integers(steps: Sequence[Step]) -> list[Step]:
    """Forget that kernels multiply bytes: what is left knows nothing of saturation."""
    return [replace(step, integers=None) if isinstance(step, Product) else step for step in steps]


def test_saturation_is_found_where_it_is_planted() -> None:
    steps = one_unit(Quantise(200.0, 0, 0, 255))
    product = steps[1]
    assert isinstance(product, Product)
    integers = np.array([[127, 127], [127, -127]])
    steps[1] = replace(product, weight=integers * 0.5, integers=integers)
    steps[3] = Product(np.eye(2), np.array([0.0, 20_000.0]))  # between 255 · 127 and the half of 32,767
    images = np.array([[255, 255], [255, 3], [128, 129], [129, 130]], F32)
    found = certify_steps(steps, images)
    assert found.saturates.tolist() == [True, False, False, True]  # 127 · 258 = 32,766
    assert found.pairs_reached == ((0, 0, 0),)
    assert found.bounds.certified.tolist() == [False, True, True, True]  # the last saturates, and all the same
    exact, pairs = (answer(steps, images, way) for way in (EXACT[0], PAIRS))
    assert exact.argmax(1).tolist() == [0, 1, 1, 1]
    assert pairs.argmax(1).tolist() == [1, 1, 1, 1]
    assert saturating(np.array([[255, 255]]), integers)[0].tolist() == [2**15 - 1, 0]
    assert (exact[[1, 2]] == pairs[[1, 2]]).all()


def test_weights_of_7_bits_cannot_saturate() -> None:
    for seed in range(2, 32, 3):
        drawn = Drawn(seed)
        assert not certify_steps(drawn.steps, drawn.images).saturates.any()
        assert (answer(drawn.steps, drawn.images, PAIRS) == answer(drawn.steps, drawn.images, EXACT[0])).all()


def test_sums_beyond_32_bits_have_no_certificate() -> None:
    steps = one_unit(Quantise(1.0, 0, 0, 255))
    product = steps[1]
    assert isinstance(product, Product)
    steps[1] = replace(product, bias=np.full(2, 2.0**31))
    assert not certify_steps(steps, np.ones((1, 2), F32)).bounds.certified.any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda steps: steps[:1], "does not end with a dense layer"),
        (lambda steps: [], "does not end with a dense layer"),
        (lambda steps: [*steps[:2], QuantiseByRange(), steps[3]], "may be negative"),
        (lambda steps: [steps[0], replace(steps[1], bias_unit=np.full(2, 0.51)), *steps[2:]], "another scale"),
        (lambda steps: [*steps[:3], Product(np.ones((2, 3)), np.zeros(2))], "does not fit"),
        (lambda _: [Product(np.full((2, 2), 1e308), np.zeros(2))], "leave the range"),
    ],
)
def test_what_is_no_such_network_has_no_certificate(change: Any, reason: str) -> None:
    steps = change(one_unit(Quantise(1.0, 0, 0, 255)))
    with pytest.raises(NotCovered, match=reason):
        certify_steps(steps, np.full((1, 2), 3, F32))
