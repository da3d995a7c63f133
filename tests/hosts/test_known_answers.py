"""What an emulator has to give before it counts: the answers are right, and each wrong one is noticed."""

import platform
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench import hosts, runtimes
from mnist_bench.hosts import _known_answers as known
from mnist_bench.worker import instructions

ARM = ("asimd", "asimdhp", "asimddp", "i8mm")
NAMES = [one.name for one in known.INSTRUCTIONS]


class Machine:
    """Answers as a processor of every kind at once would; for one instruction, as the test wants."""

    def __init__(self, wrong: str = "", shift: int = 1) -> None:
        self._wrong, self._shift = wrong, shift

    def compute(self, name: str, operands: NDArray[np.uint8]) -> NDArray[np.uint8]:
        (one,) = [one for one in known.INSTRUCTIONS if one.name == name]
        given = one.operands(np.random.default_rng(known.SEED))
        raw = np.ascontiguousarray(one.exact(*given)).view(np.uint8)
        results = np.zeros((known.TRIALS, known.WIDTH), np.uint8)
        results[:, : raw.shape[1]] = raw
        if name == self._wrong:
            results[3, 0] ^= self._shift
        return results


@pytest.mark.parametrize("name", NAMES)
def test_one_wrong_bit_in_one_trial_is_noticed(name: str) -> None:
    (one,) = [one for one in known.INSTRUCTIONS if one.name == name]
    assert known._tried(Machine(), one).wrong == 0  # type: ignore[arg-type]
    assert known._tried(Machine(wrong=name), one).wrong == 1  # type: ignore[arg-type]


def test_every_instruction_that_can_be_run_is_tried_and_the_other_way_round() -> None:
    assert set(NAMES) == set(instructions.X86_CODE) | set(instructions.ARM_CODE)
    assert {one.needs for one in known.INSTRUCTIONS} <= {"", *instructions.CPUID_BITS, *instructions.HWCAP_BITS}


def test_the_trials_tell_what_they_are_to_tell() -> None:
    random = np.random.default_rng(known.SEED)
    a, b, c = known._bytes(random)
    assert (known._saturated_pairs(a, b, c) != known._pairs(a, b, c)).any(1).mean() > 0.3
    a, b, c = known._floats(random)
    assert (known._fused(np.float32)(a, b, c) != known._apart(a, b, c)).mean() > 0.5
    a, b, c = known._halves(random)
    assert (known._fused(np.float16)(a, b, c) != (a * b + c)).mean() > 0.5
    signed, unsigned = known._signed(random), known._unsigned(random)
    assert (known._dots(*signed) != known._dots(*unsigned)).any()


def test_a_fused_sum_is_the_exact_one_rounded_once() -> None:
    a, b, c = known._floats(np.random.default_rng(1))
    found = known._fused(np.float32)(a, b, c)
    for place in np.ndindex(4, 8):
        exact = Fraction(float(a[place])) * Fraction(float(b[place])) + Fraction(float(c[place]))
        assert abs(Fraction(float(found[place])) - exact) <= Fraction(float(np.spacing(np.abs(found[place])))) / 2


def test_saturating_pairs_one_by_one() -> None:
    a, b, c = known._bytes(np.random.default_rng(2))
    found = known._saturated_pairs(a, b, c)
    for row, pair in np.ndindex(8, 16):
        total = sum(int(a[row, 2 * pair + k]) * int(b[row, 2 * pair + k]) for k in (0, 1))
        assert found[row, pair] == max(-32768, min(32767, total))


def test_the_graphs_differ_where_pairs_saturate() -> None:
    random = np.random.default_rng(0)
    pixels, weight = random.integers(0, 256, (5, 784)), random.integers(-127, 128, (784, 10))
    exact, saturated = known._sums(pixels, weight, False), known._sums(pixels, weight, True)
    assert (np.abs(exact - saturated) > known.SHIFT).any()
    np.testing.assert_array_equal(exact, pixels @ weight)
    small = weight // 4  # 2 · 255 · 32 fits in 16 bits
    np.testing.assert_array_equal(known._sums(pixels, small, True), pixels @ small)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="pages of code are not made for other processors natively")
def test_this_machine_gives_the_known_answers() -> None:
    with hosts.started(hosts.launch(hosts.HERE), None, hosts.Limits(120)) as worker:
        features, checks = hosts.prove(worker)
    assert set(features) <= set(instructions.CPUID_BITS)
    assert [one for one in checks if one.wrong] == []
    assert {"ONNX Runtime, float32", "ONNX Runtime, int8", "ONNX Runtime, int8-dynamic"} <= {one.name for one in checks}


def test_wrong_sums_of_a_runtime_are_noticed() -> None:
    class Runtime:
        """Answers every graph with zeros, or with another shape."""

        def __init__(self, classes: int) -> None:
            self._classes = classes

        def open(self, model: runtimes.Model, spec: runtimes.Spec) -> None:
            assert model.content

        def run(self, images: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
            return np.zeros((len(images), self._classes), np.float32)

    for classes in (known.CLASSES, 3):
        checks = known._graphs(Runtime(classes), saturating=False)  # type: ignore[arg-type]
        assert [one.wrong for one in checks] == [known.IMAGES] * 3
