"""Every interval, bound and test, against exact enumeration, published numbers, other implementations, simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, rankdata, wilcoxon

from mnist_bench.core import stats

SIZES = range(6, 25)
magnitudes = st.lists(st.integers(1, 10**6), min_size=6, max_size=14, unique=True)
signs = st.lists(st.sampled_from([-1e-6, 1e-6]), min_size=14, max_size=14)
distinct = st.tuples(magnitudes, signs).map(lambda made: [size * sign for size, sign in zip(*made, strict=False)])


def coverage(size: int, low: int, high: int) -> float:
    """Return the exact chance that the median lies between two order statistics, by enumerating all sign patterns."""
    patterns = itertools.product((0, 1), repeat=size)
    inside = sum(1 for pattern in patterns if low <= sum(pattern) < high)
    return float(inside / 2**size)


@pytest.mark.parametrize("size", range(6, 16))
def test_the_median_s_interval_is_the_narrowest_that_enumeration_allows(size: int) -> None:
    found = stats.median_interval(range(1, size + 1))
    assert found is not None
    low, high = int(found.low), int(found.high)
    assert low + high == size + 1
    assert coverage(size, low, high) >= 0.95
    assert low + 1 >= high - 1 or coverage(size, low + 1, high - 1) < 0.95


def test_five_values_have_no_interval_of_95_per_cent() -> None:
    assert stats.median_interval([1.0, 2, 3, 4, 5]) is None
    assert stats.median_interval([1.0, 2, 3, 4, 5], confidence=0.9) is not None


@pytest.mark.parametrize(("share", "needed"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6_636)])
def test_a_percentile_s_bound_needs_as_many_samples_as_loadgen_s_early_stopping(share: float, needed: int) -> None:
    assert stats.samples_needed(share) == needed
    assert stats.percentile_bound(range(needed - 1), share) == (None, needed)
    assert stats.percentile_bound(range(needed), share) == (needed - 1.0, needed)  # the largest


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [700, 1_000, 12_000, 100_000])
def test_a_percentile_s_bound_is_the_lowest_that_the_binomial_tail_allows(share: float, size: int) -> None:
    bound, _ = stats.percentile_bound(np.arange(size, dtype=float), share)
    assert bound is not None
    above = size - int(bound)
    assert binom.cdf(above, size, 1 - share) <= 0.01 < binom.cdf(above + 1, size, 1 - share)


def test_a_percentile_is_an_observed_value() -> None:
    sample = [3.0, 1.0, 2.0, 10.0]
    assert [stats.percentile(sample, share) for share in (0.25, 0.5, 0.9, 1.0)] == [1.0, 2.0, 10.0, 10.0]


def test_injected_outliers_are_counted_and_nothing_else() -> None:
    sample = np.random.default_rng(0).normal(100, 1, 1_000)
    assert stats.outliers(sample) == 0
    sample[[3, 500, 999]] = 130, 200, 1e6
    assert stats.outliers(sample) == 3
    assert stats.outliers([1.0] * 10) == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tail", [0.025, 0.01, 0.05])
def test_the_signed_rank_distribution_is_scipy_s(size: int, tail: float) -> None:
    """scipy's exact p-value of the sample whose statistic is the critical rank, and of the next one."""
    rank = stats._critical_rank(size, tail)

    def chance(statistic: int) -> float:
        """Return P(statistic of the positive ranks ≤ `statistic`), by scipy."""
        signs, left = -np.ones(size), statistic
        for place in range(size, 0, -1):
            if place <= left:
                signs[place - 1], left = 1.0, left - place
        return float(wilcoxon(signs * np.arange(1, size + 1), alternative="less", method="exact").pvalue)

    assert rank == 0 or chance(rank - 1) <= tail
    assert chance(rank) > tail


@given(distinct)
@settings(deadline=None, max_examples=60)
def test_the_interval_excludes_1_exactly_where_the_test_rejects(logs: list[float]) -> None:
    found = stats.paired_ratio(np.exp(logs), np.ones(len(logs)))
    assert found.interval is not None
    assert found.interval.low <= found.ratio <= found.interval.high
    averages = [(one + other) / 2 for one, other in itertools.combinations_with_replacement(logs, 2)]
    if 0.0 not in averages and len(set(averages)) == len(averages):
        assert (found.interval.low > 1) == (found.p_slower <= 0.025)
        assert (found.interval.high < 1) == (found.p_faster <= 0.025)


@given(distinct)
@settings(deadline=None, max_examples=30)
def test_swapping_the_sides_turns_everything_round(logs: list[float]) -> None:
    one, other = np.exp(logs), np.ones(len(logs))
    there, back = stats.paired_ratio(one, other), stats.paired_ratio(other, one)
    assert there.interval is not None
    assert back.interval is not None
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.interval.low == pytest.approx(1 / back.interval.high)
    assert there.p_slower == pytest.approx(back.p_faster)


def test_many_blocks_have_an_exact_answer_too() -> None:
    """As many as a record may have."""
    logs = np.random.default_rng(0).normal(0.001, 0.1, 1000)
    found = stats.paired_ratio(np.exp(logs).tolist(), [1.0] * 1000)
    assert found.interval
    assert found.interval.low < found.ratio < found.interval.high
    assert found.p_slower == pytest.approx(wilcoxon(logs, alternative="greater", method="approx").pvalue, abs=1e-3)


def test_the_hodges_lehmann_estimate_is_the_median_of_the_walsh_averages() -> None:
    found = stats.paired_ratio(np.exp([0.1, 0.3, 0.5, 0.2, 0.9, 0.4]), np.ones(6))
    averages = sorted(
        (a + b) / 2 for a, b in itertools.combinations_with_replacement([0.1, 0.3, 0.5, 0.2, 0.9, 0.4], 2)
    )
    assert math.log(found.ratio) == pytest.approx(averages[10])
    assert found.interval == pytest.approx((math.exp(0.1), math.exp(0.9)))


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=11))
@settings(deadline=None, max_examples=60)
def test_the_p_value_is_exact_with_ties_and_zeros_too(steps: list[int]) -> None:
    """Against an enumeration of the signs of the differences that are not zero."""
    found = stats.paired_ratio(2.0 ** np.array(steps), np.ones(len(steps)))
    apart = [step for step in steps if step]
    ranks = rankdata(np.abs(apart))
    seen = sum(rank for rank, step in zip(ranks, apart, strict=True) if step > 0)
    sums = [float(np.dot(pattern, ranks)) for pattern in itertools.product((0, 1), repeat=len(ranks))]
    assert found.p_slower == pytest.approx(np.mean([one >= seen for one in sums]))


@given(distinct)
@settings(deadline=None, max_examples=30)
def test_the_p_value_is_scipy_s_where_nothing_is_tied(logs: list[float]) -> None:
    found = stats.paired_ratio(np.exp(logs), np.ones(len(logs)))
    assert found.p_slower == pytest.approx(wilcoxon(logs, alternative="greater", method="exact").pvalue)
    assert found.p_faster == pytest.approx(wilcoxon(logs, alternative="less", method="exact").pvalue)


def test_a_side_against_itself_is_equivalent() -> None:
    times = np.random.default_rng(1).lognormal(size=12)
    found = stats.paired_ratio(times, times)
    assert (found.ratio, found.interval, found.p_slower, found.p_faster) == (1.0, (1.0, 1.0), 1.0, 1.0)
    assert stats.verdicts([found], 0.025) == ["EQUIVALENT"]


def test_too_few_blocks_have_no_interval_and_no_verdict() -> None:
    found = stats.paired_ratio([2.0] * 3, [1.0] * 3)
    assert found.interval is None
    assert stats.verdicts([found], 0.025) == ["INCONCLUSIVE"]


def test_holm_s_adjustment_is_that_of_the_textbook() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.5, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_verdicts_allow_for_their_number() -> None:
    barely = stats.paired_ratio(np.exp(np.linspace(0.03, 0.2, 6)), np.ones(6))  # the smallest p-value of 6 blocks
    assert stats.verdicts([barely], 0.025) == ["SLOWER"]
    assert stats.verdicts([barely, barely], 0.025) == ["INCONCLUSIVE"] * 2


# --- by simulation: blocks with process effects, drift and spikes -----------------------------------------------------

GATES, BLOCKS, CALLS = 4_000, 20, 30
PROCESS, CALL, SPIKES = 0.01, 0.02, 0.01


def simulated(generator: np.random.Generator, gates: int, ratio: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return process medians of two sides, (gates, blocks): a drifting machine, process effects, spikes among calls.

    Block effects walk at random by 1% (drift) and jump by 30% in a tenth of the blocks (phases); each process has an
    effect of 1%, each call one of 2%, and one call in a hundred takes several times as long.
    """
    drift = generator.normal(0, 0.01, (gates, BLOCKS)).cumsum(1)
    drift += np.log(1.3) * (generator.random((gates, BLOCKS)) < 0.1)
    sides = []
    for factor in (ratio, 1.0):
        effects = drift + generator.normal(0, PROCESS, (gates, BLOCKS))
        calls = generator.normal(0, CALL, (gates, BLOCKS, CALLS))
        calls += (generator.random(calls.shape) < SPIKES) * generator.exponential(1.0, calls.shape)
        sides.append(factor * np.exp(effects + np.median(calls, axis=2)))
    return sides[0], sides[1]


def slower(candidate: np.ndarray, baseline: np.ndarray) -> int:
    """Count the gates that say SLOWER at a nominal 1%."""
    estimates = (stats.paired_ratio(*sides, 0.98) for sides in zip(candidate, baseline, strict=True))
    return sum(stats.verdicts([estimate], 0.01) == ["SLOWER"] for estimate in estimates)


def test_4000_gates_of_a_thing_against_itself_raise_no_more_false_alarms_than_promised() -> None:
    """At a nominal 1%, 40 are expected; more than 57 have a chance of 0.4%. The test itself may raise as many.

    Fewer are called SLOWER, since differences within 2% are EQUIVALENT.
    """
    candidate, baseline = simulated(np.random.default_rng(0), GATES)
    estimates = [stats.paired_ratio(*sides, 0.98) for sides in zip(candidate, baseline, strict=True)]
    assert 20 <= sum(estimate.p_slower <= 0.01 for estimate in estimates) <= 57
    assert 20 <= sum(estimate.p_faster <= 0.01 for estimate in estimates) <= 57
    assert sum(stats.verdicts([estimate], 0.01) == ["SLOWER"] for estimate in estimates) <= 57


def test_gates_of_many_rows_raise_no_more_false_alarms_than_gates_of_one() -> None:
    """Ten rows a gate, and no tolerance that hides a difference: 1% of 400 gates, and not of 4,000 rows."""
    candidate, baseline = simulated(np.random.default_rng(5), 4_000)
    alarms = 0
    for gate in range(400):
        rows = range(10 * gate, 10 * gate + 10)
        estimates = [stats.paired_ratio(candidate[row], baseline[row], 0.98) for row in rows]
        alarms += "SLOWER" in stats.verdicts(estimates, 0.01, [0.0] * 10)
    assert alarms <= 10


def test_the_simulation_would_catch_a_gate_that_takes_calls_for_samples() -> None:
    """What pooling does: the calls of one process a side, tested as if they were independent samples."""
    generator = np.random.default_rng(1)
    effects = generator.normal(0, PROCESS, (400, 2, 1))
    calls = effects + generator.normal(0, CALL, (400, 2, 1_000))
    alarms = [
        abs(one.mean() - other.mean()) / math.sqrt((one.var() + other.var()) / 1_000) > 2.576 for one, other in calls
    ]
    assert np.mean(alarms) > 0.4


@pytest.mark.parametrize(("ratio", "power"), [(1.02, 0.5), (1.05, 0.99)])
def test_a_slow_down_is_found(ratio: float, power: float) -> None:
    candidate, baseline = simulated(np.random.default_rng(2), 300, ratio)
    assert slower(candidate, baseline) / 300 >= power


@pytest.mark.parametrize("size", [6, 12, 20])
def test_the_intervals_cover_what_they_should(size: int) -> None:
    """Of a skewed distribution's median, and of a ratio, in 2,000 simulations: at least 95% less four sigmas."""
    generator = np.random.default_rng(size)
    samples = generator.exponential(1.0, (2_000, size)) + 5
    intervals = [stats.median_interval(sample) for sample in samples[:500]]
    covered = [found.low <= 5 + math.log(2) <= found.high for found in intervals if found]
    assert np.mean(covered) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 500)
    logs = generator.normal(0.1, 0.02, (2_000, size))
    ratios = [stats.paired_ratio(np.exp(sample), np.ones(size)).interval for sample in logs]
    covered = [found.low <= math.exp(0.1) <= found.high for found in ratios if found]
    assert len(covered) == 2_000
    assert np.mean(covered) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2_000)


def test_the_percentile_bound_covers_pooled_calls_of_unlike_processes() -> None:
    """The bound is of the mixture of the processes that were measured; 99% of the time it is above its percentile."""
    generator = np.random.default_rng(3)
    missed = 0.0
    for _ in range(400):
        scales = 1 + 0.2 * generator.random(6)
        calls = (scales[:, None] * generator.exponential(1.0, (6, 200))).ravel()
        bound = stats.percentile_bound(calls, 0.99).value
        assert bound is not None
        missed += np.mean(np.exp(-bound / scales)) > 0.01  # the mixture's exact share above the bound
    assert missed <= 4 + 4 * math.sqrt(4)
