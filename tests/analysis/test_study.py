"""What a study's numbers say: worked out by hand, and the intervals' promises by simulation."""

import math

import numpy as np
import pytest

from mnist_bench.analysis import seeds, study
from mnist_bench.report._study import verdict
from tests.study import made


def test_mean_and_interval_are_student_s() -> None:
    results = [made.result("relu", seed, (0.9, 0.95 + seed / 100)) for seed in range(3)]
    (arm,) = study.arms(made.record(results), 0.97)
    assert arm.accuracy.mean == pytest.approx(0.96)
    assert arm.accuracy.deviation == pytest.approx(0.01)
    assert arm.accuracy.interval == pytest.approx((0.96 - 4.302653 * 0.01 / 3**0.5, 0.96 + 4.302653 * 0.01 / 3**0.5))
    assert arm.sampling_error == pytest.approx((0.96 * 0.04 / 1000) ** 0.5)
    assert arm.gap.mean == pytest.approx(0.04)


def test_one_seed_has_no_interval() -> None:
    (arm,) = study.arms(made.record([made.result()]), 0.97)
    assert arm.accuracy.deviation is None
    assert arm.accuracy.interval is None
    assert seeds.p_of_no_difference([0.1]) is None


def test_the_last_epoch_counts_and_never_the_best() -> None:
    (arm,) = study.arms(made.record([made.result(accuracies=(0.99, 0.95))]), 0.97)
    assert arm.accuracy.mean == 0.95
    assert arm.convergence.median == 1


def test_seeds_that_never_converged_are_not_dropped() -> None:
    reached = [made.result("relu", seed, (0.98, 0.98)) for seed in range(3)]
    never = [made.result("relu", seed, (0.9, 0.9)) for seed in range(3, 7)]
    (arm,) = study.arms(made.record(reached + never), 0.97)
    assert (arm.convergence.reached, arm.convergence.runs) == (3, 7)
    assert math.isinf(arm.convergence.median)
    assert arm.convergence.interval is not None
    assert (arm.convergence.interval.low, arm.convergence.interval.high) == (1, math.inf)


def test_differences_are_paired_by_seed() -> None:
    relu = [made.result("relu", seed, (0.9, 0.95 + seed / 100)) for seed in range(3)]
    sigmoid = [made.result("sigmoid", seed, (0.9, end)) for seed, end in enumerate((0.94, 0.949, 0.96))]
    found = study.paired(made.record([*relu, *sigmoid]))
    assert found is not None
    assert found.accuracy.values == pytest.approx((-0.01, -0.011, -0.01))
    assert found.beyond_seeds
    assert study.paired(made.record(relu)) is None


@pytest.mark.parametrize("pairs", [2, 8])
def test_differences_that_do_not_vary_tell_nothing_of_other_seeds(pairs: int) -> None:
    """Of 1/360 each, which in binary are not quite the same."""
    shares = [((356 - seed) / 360, (355 - seed) / 360) for seed in range(pairs)]
    differences = [before - after for before, after in shares]
    assert len(set(differences)) > 1
    assert seeds.standard_deviation(differences) == 0
    assert seeds.mean_interval(differences) is None
    assert seeds.p_of_no_difference(differences) is None
    counts = (("relu", 30), ("sigmoid", 40))
    alike = [made.result(one, seed, wrong=range(count)) for one, count in counts for seed in (0, 1)]  # type: ignore[arg-type]
    found = study.paired(made.record(alike))
    assert found is not None
    assert not found.beyond_seeds
    assert verdict(found).startswith("2 pairs that all differ by -1.00 points cannot tell")


def test_the_paired_t_test_gives_the_known_p() -> None:
    assert seeds.p_of_no_difference([-0.02, -0.01, -0.03]) == pytest.approx(0.0741799, rel=1e-5)


def test_the_error_over_images_is_that_of_the_images_that_differ() -> None:
    """The first network alone is wrong on 10 images, the second alone on 30, of 1,000."""
    before = made.result("relu", 0, wrong=range(10))
    after = made.result("sigmoid", 0, wrong=range(10, 40))
    found = study.paired(made.record([before, after]))
    assert found is not None
    values = np.array([1] * 10 + [-1] * 30 + [0] * 960)
    assert found.image_error == pytest.approx(values.std(ddof=1) / 1000**0.5)
    same = study.paired(made.record([before, made.result("sigmoid", 0, wrong=range(10))]))
    assert same is not None
    assert same.image_error == 0


def test_the_intervals_hold_what_they_promise() -> None:
    """Of 400 simulated studies of 8 seeds, 95% should hold the truth: 380, give or take 4 standard deviations."""
    generator = np.random.default_rng(7)
    means = medians = 0
    for _ in range(400):
        sample = generator.normal(0.98, 0.002, 8)
        interval = seeds.mean_interval(sample.tolist())
        assert interval is not None
        means += interval.low <= 0.98 <= interval.high
        epochs = 2 + generator.geometric(0.4, 8)  # the median is 4
        around = seeds.median_interval(epochs.tolist())
        assert around is not None
        medians += around.low <= 4 <= around.high
    assert 362 <= means <= 398
    assert medians >= 362


def test_the_simulation_can_fail() -> None:
    generator = np.random.default_rng(7)
    narrow = [seeds.mean_interval(generator.normal(0.98, 0.002, 8).tolist(), confidence=0.8) for _ in range(400)]
    assert sum(one is not None and one.low <= 0.98 <= one.high for one in narrow) < 362
