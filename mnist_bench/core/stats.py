"""Statistics of measured times: exact and rank-based, since times are neither normal nor free of outliers.

Arguments are sequences of seconds, or of their ratios' logarithms; nothing here rounds and nothing drops a value.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]
Verdict = Literal["FASTER", "SLOWER", "EQUIVALENT", "INCONCLUSIVE"]

MAD_TO_SIGMA = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
OUTLIER_SIGMAS = 10.0  # both as in hyperfine's src/outlier_detection.rs
EARLY_STOPPING_CONFIDENCE = 0.99  # MLPerf LoadGen
SMALLEST_DELTA = 0.02
Z_95 = 1.959964  # two-sided 95% quantile of the normal distribution


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


class Bound(NamedTuple):
    """An upper bound of a percentile: None where there are too few samples, and how many are needed."""

    value: float | None
    needed: int


class Estimate(NamedTuple):
    """A ratio of times with its interval (None: too few blocks for one) and the p-values of either direction.

    `p_slower` is the probability of such differences, or larger ones, if the ratio were at most 1; `p_faster`, if it
    were at least 1.
    """

    ratio: float
    interval: Interval | None
    p_slower: float
    p_faster: float
    blocks: int


def median_interval(sample: Values, confidence: float = 0.95) -> Interval | None:
    """Return the exact order-statistic interval of a median; None for fewer than 6 values at 95%.

    The narrowest symmetric pair of order statistics whose coverage, by the binomial distribution, is at least
    `confidence` whatever the distribution (Conover 1999, section 3.2).
    """
    rank = int((_binomial(len(sample), 0.5) <= (1 - confidence) / 2).sum())
    ordered = np.sort(sample)
    return Interval(float(ordered[rank - 1]), float(ordered[-rank])) if rank else None


def share_interval(part: int, whole: int) -> Interval:
    """Return the 95% interval of a share that was counted: `part` of `whole` (Wilson 1927)."""
    share, z = part / whole, Z_95
    middle = share + z * z / (2 * whole)
    width = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return Interval(max((middle - width) / scale, 0.0), min((middle + width) / scale, 1.0))


def percentile(sample: Values, share: float) -> float:
    """Return the smallest observed value that at least `share` of the sample does not exceed."""
    return float(np.quantile(sample, share, method="inverted_cdf"))


def percentile_bound(sample: Values, share: float) -> Bound:
    """Return the upper bound of a percentile that MLPerf LoadGen's early stopping gives, with 99% confidence.

    The t-th largest value, where t is the largest number of samples above the percentile that the sample's size allows
    (`early_stopping.cc`): the largest with P(Binomial(n, 1 - share) ≤ t) ≤ 1%. Samples of unlike processes only make
    it safer: the sum of unequal Bernoulli variables has a lighter tail (Hoeffding 1956).
    """
    allowed = _allowed_above(len(sample), share)
    return Bound(float(np.sort(sample)[-allowed]) if allowed else None, samples_needed(share))


@cache
def samples_needed(share: float) -> int:
    """Return how many samples `percentile_bound` needs: 11 for the median, 64, 130, 662 and 6,636 for 90% to 99.9%."""
    size = 2
    while share**size + size * (1 - share) * share ** (size - 1) > 1 - EARLY_STOPPING_CONFIDENCE:
        size += 1
    return size


@cache
def _allowed_above(size: int, share: float) -> int:
    """Return the largest t with P(Binomial(size, 1 - share) ≤ t) ≤ 1%; 0 where not even 1 is."""
    return max(int((_binomial(size, 1 - share) <= 1 - EARLY_STOPPING_CONFIDENCE).sum()) - 1, 0)


@lru_cache(64)
def _binomial(size: int, chance: float) -> NDArray[np.float64]:
    """Return P(Binomial(size, chance) ≤ t) for t = 0 … size.

    SciPy has this, but importing it takes longer than all the rest of showing a report.
    """
    t = np.arange(1, size + 1)
    steps = np.log((size - t + 1) / t * (chance / (1 - chance)))  # of the logarithm of P(… = t)
    found: NDArray[np.float64] = np.cumsum(np.exp(np.cumsum([size * math.log1p(-chance), *steps])))
    return np.minimum(found, 1.0)


def outliers(sample: Values) -> int:
    """Count the values whose modified z-score, |x - median| / MAD, is beyond 10 standard deviations (hyperfine's)."""
    distances = np.abs(np.asarray(sample) - np.median(sample))
    scale = max(float(np.median(distances)), np.finfo(float).eps)
    return int((distances / scale > MAD_TO_SIGMA * OUTLIER_SIGMAS).sum())


def relative_spread(sample: Values) -> float:
    """Return the interquartile range over the median."""
    low, middle, high = np.quantile(sample, [0.25, 0.5, 0.75])
    return float((high - low) / middle)


def paired_ratio(candidate: Values, baseline: Values, confidence: float = 0.95) -> Estimate:
    """Estimate by how much a candidate's times exceed a baseline's, from the blocks in which both were measured.

    The Hodges-Lehmann estimate of the log-ratios, their exact signed-rank interval (Hollander & Wolfe 1999, section
    3.3) and Wilcoxon's test. The interval is None where there are too few blocks for its confidence.

    Args:
        candidate: a time per block.
        baseline: the other side's time in the same block.
        confidence: of the two-sided interval.
    """
    logs = np.log(np.asarray(candidate) / np.asarray(baseline))
    size = len(logs)
    averages = np.sort((logs[:, None] + logs)[np.triu_indices(size)] / 2)
    rank = _critical_rank(size, (1 - confidence) / 2)
    interval = Interval(math.exp(averages[rank - 1]), math.exp(averages[-rank])) if rank else None
    return Estimate(
        ratio=math.exp(float(np.median(averages))),
        interval=interval,
        p_slower=_signed_rank(logs),
        p_faster=_signed_rank(-logs),
        blocks=size,
    )


def _signed_rank(logs: NDArray[np.float64]) -> float:
    """Return the p-value of Wilcoxon's test that differences are no larger than 0; 1 where all are 0.

    Exact with ties too, where SciPy's test approximates: given their mid-ranks, every pattern of signs is as likely.
    """
    apart = logs[logs != 0]
    _, which, ties = np.unique(np.abs(apart), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(ties) - ties + 1)[which]  # twice the mid-ranks, which are halves
    chances = _rank_sums(tuple(doubled.tolist()))
    return float(chances[doubled[apart > 0].sum() :].sum())


@cache
def _critical_rank(size: int, tail: float) -> int:
    """Return the largest k with P(signed-rank statistic of `size` differences < k) ≤ `tail`; 0 where there is none."""
    return int((np.cumsum(_rank_sums(tuple(range(1, size + 1)))) <= tail).sum())


@lru_cache(256)
def _rank_sums(ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the probabilities of the sums 0, 1, 2 … of ranks that are each taken with probability 1/2."""
    chances = np.ones(1)
    for rank in ranks:
        taken = np.zeros(len(chances) + rank)
        taken[: len(chances)] += chances
        taken[rank:] += chances
        chances = taken / 2
    return chances


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value that two classifiers are right equally often (McNemar 1947).

    Args:
        only_first: how many images the first alone predicts correctly.
        only_second: how many the second alone.
    """
    below = _binomial(only_first + only_second, 0.5)[min(only_first, only_second)]
    return min(2 * float(below), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that the chance of any false alarm stays as stated (Holm 1979)."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for step, place in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def verdicts(estimates: Sequence[Estimate], alpha: float, deltas: Sequence[float] | None = None) -> list[Verdict]:
    """Judge several ratios at once: each direction's chance of any false alarm is at most `alpha`.

    EQUIVALENT is an interval within a factor of 1 + delta of 1, whatever their number; INCONCLUSIVE is neither that nor
    significant. `deltas` are 2% each, unless told.
    """
    slower = holm([estimate.p_slower for estimate in estimates])
    faster = holm([estimate.p_faster for estimate in estimates])
    widths = deltas or [SMALLEST_DELTA] * len(estimates)
    judged = zip(estimates, slower, faster, widths, strict=True)
    return [_verdict(estimate, above, below, alpha, delta) for estimate, above, below, delta in judged]


def _verdict(estimate: Estimate, p_slower: float, p_faster: float, alpha: float, delta: float) -> Verdict:
    interval = estimate.interval
    if interval and 1 / (1 + delta) <= interval.low and interval.high <= 1 + delta:
        return "EQUIVALENT"
    if interval and interval.low > 1 and p_slower <= alpha:
        return "SLOWER"
    return "FASTER" if interval and interval.high < 1 and p_faster <= alpha else "INCONCLUSIVE"
