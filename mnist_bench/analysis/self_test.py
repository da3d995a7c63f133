"""What an A/A run says: by how much a target differs from itself on this machine, and so what can be told apart."""

import itertools
import math
from dataclasses import dataclass
from statistics import median

from mnist_bench.analysis.comparison import GATE_ALPHA, GATE_CONFIDENCE, Compared, compare_rows
from mnist_bench.analysis.machines import machine_differences
from mnist_bench.core.bench_types import NULL, HalfWidth, Row, SelfTestRecord
from mnist_bench.core.stats import SMALLEST_DELTA, Interval, percentile
from mnist_bench.core.types import Configuration, Environment

COPIES = 4
"""How many times each target is measured in each block."""

POWER = 0.95  # the share of slow-downs of that size that a gate would find


@dataclass(frozen=True)
class Resolution:
    """What can be told apart in one configuration.

    Of `comparisons` of a copy with another one, in either direction, `alarms` were called slower by a gate's test, at a
    nominal 1%. `half_width` is the median half-width of their intervals, `detectable` the slow-down that 95% of them
    would have called SLOWER in a gate of as many rows as were tested; both relative, None where there are too few
    blocks for an interval.
    """

    configuration: Configuration
    comparisons: int
    alarms: int
    half_width: float | None
    detectable: float | None


def resolutions(record: SelfTestRecord) -> list[Resolution]:
    """Compare each copy with each other one, in both directions, configuration by configuration."""
    groups: dict[Configuration, list[Row]] = {}
    for row in record.rows:
        groups.setdefault(row.configuration, []).append(row)
    return [_resolution(configuration, rows, len(groups)) for configuration, rows in groups.items()]


def _resolution(configuration: Configuration, rows: list[Row], tested: int) -> Resolution:
    alone, together = _judged(rows, 1), _judged(rows, tested)
    widths = [math.sqrt(high / low) - 1 for low, high in _intervals(alone)]
    delta = max([SMALLEST_DELTA, *([median(widths)] if widths else [])])
    # A slow-down multiplies both limits; SLOWER is where the lower one exceeds 1 and the upper one is not EQUIVALENT.
    needed = [max(1 / low - 1, (1 + delta) / high - 1, 0.0) for low, high in _intervals(together)]
    return Resolution(
        configuration=configuration,
        comparisons=len(alone),
        alarms=sum(compared.estimate.p_slower <= GATE_ALPHA for compared in alone),
        half_width=median(widths) if widths else None,
        detectable=percentile(needed, POWER) if needed else None,
    )


def _judged(rows: list[Row], tested: int) -> list[Compared]:
    """Compare each copy with each other one, with intervals that allow for so many rows."""
    confidence = 1 - (1 - GATE_CONFIDENCE) / tested
    return [
        compare_rows([pair], alpha=GATE_ALPHA, confidence=confidence)[0] for pair in itertools.permutations(rows, 2)
    ]


def _intervals(judged: list[Compared]) -> list[Interval]:
    return [compared.estimate.interval for compared in judged if compared.estimate.interval]


def half_widths(saved: SelfTestRecord | None, here: Environment) -> tuple[HalfWidth, ...]:
    """Return what a self-test found on a machine like this one; nothing where it found nothing, or there was none."""
    if saved is None or not saved.finished or saved.failures or machine_differences(saved.environment, here):
        return ()
    return tuple(
        HalfWidth(
            target=found.configuration.target,
            threads=found.configuration.threads,
            batch_size=found.configuration.batch_size,
            relative=found.half_width,
        )
        for found in resolutions(saved)
        if found.half_width is not None and found.configuration.runtime != NULL
    )
