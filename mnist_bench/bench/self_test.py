"""The A/A run: the same target several times in each block, to see what this machine can tell apart."""

import itertools
import math
from dataclasses import dataclass, replace
from statistics import median

from mnist_bench import store
from mnist_bench.bench import inference
from mnist_bench.bench.comparison import Compared, compare_rows
from mnist_bench.bench.session import Subject, Told, finish, looked_at, new_record
from mnist_bench.core.bench_types import BenchPlan, Row, SelfTestRecord
from mnist_bench.core.errors import MeasurementFailed
from mnist_bench.core.stats import SMALLEST_DELTA, percentile
from mnist_bench.core.types import Configuration

COPIES = 4
ALPHA, CONFIDENCE = 0.01, 0.98  # a gate's
POWER = 0.9


@dataclass(frozen=True)
class Resolution:
    """What can be told apart in one configuration.

    Of `comparisons` of a copy with another one, in either direction, `alarms` were called SLOWER by a gate at a nominal
    1%. `half_width` is the median half-width of their intervals, `detectable` the slow-down that 90% of them would have
    called SLOWER; both relative, None where there are too few blocks for an interval.
    """

    configuration: Configuration
    comparisons: int
    alarms: int
    half_width: float | None
    detectable: float | None


def self_test(subject: Subject, plan: BenchPlan, told: Told, *, allow_busy: bool = False) -> SelfTestRecord:
    """Measure float32 targets several times in each block, and save the record after every block.

    Raises:
        MeasurementFailed: a copy could not be measured.
    """
    conditions = looked_at(plan.device, allow_busy)
    with inference.asked(subject.folder, subject.record, subject.dataset) as question:
        found, skipped = inference.contenders(subject.folder, subject.record, plan, plan.targets, question)
        copies = [
            replace(contender, side=f"copy {number + 1}")
            for contender in found
            if " " not in contender.target
            for number in range(COPIES)
        ]
        record = new_record(SelfTestRecord, subject, plan, conditions, skipped)
        record = finish(record, copies, told, lambda reached: store.save(subject.folder, reached))
    if record.failures:
        first = record.failures[0]
        raise MeasurementFailed(f"the self-test could not measure {first.target}: {first.reason}")
    return record


def resolutions(record: SelfTestRecord) -> list[Resolution]:
    """Compare each copy with each other one, in both directions, configuration by configuration."""
    groups: dict[Configuration, list[Row]] = {}
    for row in record.rows:
        groups.setdefault(row.configuration, []).append(row)
    return [_resolution(configuration, rows) for configuration, rows in groups.items()]


def _resolution(configuration: Configuration, rows: list[Row]) -> Resolution:
    judged = [compare_rows([pair], alpha=ALPHA, confidence=CONFIDENCE)[0] for pair in itertools.permutations(rows, 2)]
    intervals = [compared.estimate.interval for compared in judged if compared.estimate.interval]
    widths = [math.sqrt(interval.high / interval.low) - 1 for interval in intervals]
    # A slow-down multiplies both limits; SLOWER is where the lower one exceeds 1 and the upper one is not EQUIVALENT.
    needed = [max(1 / low - 1, (1 + SMALLEST_DELTA) / high - 1, 0.0) for low, high in intervals]
    return Resolution(
        configuration=configuration,
        comparisons=len(judged),
        alarms=sum(_is_alarm(compared) for compared in judged),
        half_width=median(widths) if widths else None,
        detectable=percentile(needed, POWER) if needed else None,
    )


def _is_alarm(compared: Compared) -> bool:
    return compared.verdict == "SLOWER"


def half_width(record: SelfTestRecord) -> float:
    """Return the largest A/A half-width over a self-test's configurations that the clock resolves, relative."""
    widths = [found.half_width for found in resolutions(record) if found.configuration.format != inference.NULL]
    return max((width for width in widths if width is not None), default=0.0)
