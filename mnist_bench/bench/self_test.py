"""The A/A run: the same target several times in each block, to see what this machine can tell apart."""

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from mnist_bench import store
from mnist_bench.bench import inference
from mnist_bench.bench.comparison import GATE_ALPHA, GATE_CONFIDENCE, Compared, compare_rows
from mnist_bench.bench.session import Subject, Told, begin, finish, machine_differences, new_record
from mnist_bench.core.bench_types import BenchPlan, HalfWidth, Row, SelfTestRecord
from mnist_bench.core.errors import BadInput, MeasurementFailed, RecordDamaged
from mnist_bench.core.stats import SMALLEST_DELTA, Interval, percentile
from mnist_bench.core.types import Configuration, Environment

COPIES = 4
POWER = 0.95


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


def self_test(
    subject: Subject, plan: BenchPlan, told: Told, *, resume: bool = False, allow_busy: bool = False
) -> SelfTestRecord:
    """Measure float32 targets several times in each block, and save the record after every block.

    Raises:
        BadInput: there is no float32 target.
        MeasurementFailed: a copy could not be measured.
    """
    begun, plan, conditions = begin(SelfTestRecord, subject, plan, resume=resume, allow_busy=allow_busy)
    inputs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    found, skipped = inference.contenders(subject.folder, subject.record, plan, plan.targets, inputs)
    copies = [
        replace(contender, side=f"copy {number + 1}")
        for contender in found
        if " " not in contender.target
        for number in range(COPIES)
    ]
    if not copies:
        raise BadInput(f"{subject.folder} holds no float32 file to test: export one, or name a runtime")
    record = begun or new_record(SelfTestRecord, subject, plan, conditions, skipped)
    record = finish(record, copies, told, subject.folder)
    if record.failures:
        first = record.failures[0]
        raise MeasurementFailed(f"the self-test could not measure {first.target}: {first.reason}")
    return record


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


def half_widths(folder: Path, here: Environment) -> tuple[HalfWidth, ...]:
    """Return what a self-test in a run's folder found on a machine like this one; nothing where there was none."""
    try:
        saved = store.load(folder, SelfTestRecord)
    except RecordDamaged:
        return ()
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
        if found.half_width is not None and found.configuration.format != inference.NULL
    )
