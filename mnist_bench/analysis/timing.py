"""What a benchmark's raw samples say: functions over the saved record."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mnist_bench.core import stats
from mnist_bench.core.architecture import (
    CLASSES,
    PARAMETERS,
    PIXELS,
    inference_products,
    operations,
    training_products,
)
from mnist_bench.core.bench_types import BenchRecord, Conditions, Limits, Row
from mnist_bench.core.kinds import PROTOCOL_BATCH
from mnist_bench.core.types import Environment

RESOLVED = 100
"""A median below so many times the clock's own cost is unresolved."""
SPREAD_WARNING = (
    0.10  # an interquartile range of a tenth of the median: what processes on a quiet machine stay well below
)
UNSTEADY = 0.10  # others took so much, or one block was slower than another by so much, that medians mix two machines
ADAM_PASSES = 7
"""Passes over the parameters in a step of Adam: weights, gradient, moments are read; all but the gradient written."""
FLOAT_BYTES = 4
PROTOCOL_STEP = "training step"
WEIGHT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True)
class Summary:
    """A row in a few numbers; times in seconds, of one call (inference) or one epoch (training).

    `p50` is the median of the process medians with its exact 95% interval (None: fewer than 6 processes), `minimum` the
    smallest of them; percentiles are of all calls, and the bounds are their upper bounds. `floor_s` is None where no
    limit was measured.
    """

    p50: float
    interval: stats.Interval | None
    minimum: float
    p90: float
    p90_bound: stats.Bound
    p99: float
    p99_bound: stats.Bound
    images_per_s: float
    spread: float
    outliers: int
    calls: int
    processes: int
    unresolved: bool
    skips_zeros: bool
    floor_s: float | None

    @property
    def peak_share(self) -> float | None:
        """The share of the machine's limit that was reached; None where it is unknown, or more than there can be."""
        share = self._share
        return None if share is None or self.beyond_peak else share

    @property
    def beyond_peak(self) -> float | None:
        """The share of the machine's limit where it is above 1, which cannot be: an alarm."""
        share = self._share
        return None if share is None or share <= 1 or self.skips_zeros else share

    @property
    def _share(self) -> float | None:
        return None if self.floor_s is None or self.unresolved else self.floor_s / self.p50


def timed_calls(record: BenchRecord) -> list[Row]:
    """Return the rows whose times are of calls: those of runtimes, by batch size and threads; none that is a side."""
    return [row for row in _plain(record) if row.kind != "training"]


def timed_epochs(record: BenchRecord) -> list[Row]:
    """Return the rows whose times are of epochs: those of training engines, by batch size and threads."""
    return [row for row in _plain(record) if row.kind == "training"]


def _plain(record: BenchRecord) -> list[Row]:
    own = [row for row in record.rows if row.samples and not row.side]
    return sorted(own, key=lambda row: (row.configuration.batch_size, row.configuration.threads))


def groups(rows: Iterable[Row]) -> dict[tuple[int, int], list[Row]]:
    """Group rows by batch size and number of threads: what can be compared with each other."""
    found: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.configuration.batch_size, row.configuration.threads), []).append(row)
    return found


def place_name(batch_size: int, threads: int) -> str:
    """Name a group of rows: `batch 1, 2 threads`."""
    return f"batch {batch_size:,}, {threads} thread{'s' if threads > 1 else ''}"


def row_name(row: Row) -> str:
    """Name a row for a table: its target, after its side where there are sides."""
    return f"{row.side}: {row.configuration.target}" if row.side else row.configuration.target


def peak_memory(row: Row) -> int | None:
    """Return the most memory that any of a row's processes had resident, in bytes; None where none tells."""
    return max((sample.peak_resident_bytes for sample in row.samples if sample.peak_resident_bytes), default=None)


def process_medians(row: Row) -> dict[int, float]:
    """Return the median of each process's times, by block."""
    return {sample.block: median(sample.times_s) for sample in row.samples}


class _Same:
    """A key for what is the very same object: a record of many samples takes long to hash, and as long to compare."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def summarise(record: BenchRecord, row: Row) -> Summary:
    """Summarise a row; it must hold a sample."""
    return _summarised(_Same(record.limits), _Same(row))


@functools.lru_cache(maxsize=2**15)  # several tables ask for the same rows
def _summarised(of_record: _Same, of_row: _Same) -> Summary:
    limits, row = of_record.value, of_row.value
    medians = list(process_medians(row).values())
    times = [time for sample in row.samples for time in sample.times_s]
    middle = median(medians)
    return Summary(
        p50=middle,
        interval=stats.median_interval(medians),
        minimum=min(medians),
        p90=stats.percentile(times, 0.90),
        p90_bound=stats.percentile_bound(times, 0.90),
        p99=stats.percentile(times, 0.99),
        p99_bound=stats.percentile_bound(times, 0.99),
        images_per_s=row.samples[0].images / middle,
        spread=stats.relative_spread(medians),
        outliers=stats.outliers(times),
        calls=len(times),
        processes=len(medians),
        unresolved=middle < RESOLVED * max((limit.timer_s for limit in limits), default=0.0),
        skips_zeros=row.skips_zeros,
        floor_s=floor_s(row, limits),
    )


def dense_flop_per_s(row: Row, seconds: float) -> float:
    """Return the operations a second of an epoch's products, as if none of them were skipped."""
    batch, images = row.configuration.batch_size, row.samples[0].images
    return images / batch * operations(training_products(batch)) / seconds


def floor_s(row: Row, limits: Sequence[Limits]) -> float | None:
    """Return the least time that this machine could need for what a row times, in seconds; None where unknown.

    Inference: operations over the best rate of products that this machine showed in the row's precision (in any, for
    fp16, whose own is not probed), or bytes (weights, images, logits) over the best bandwidth at that size, the larger.
    Training, by the epoch: the eight products of each step, at the rate of those very products for a batch of 128 and
    at the best rate for others, plus Adam's seven passes over the parameters.
    """
    own = [found for found in limits if found.threads == row.configuration.threads]
    if not own or row.kind == "null" or row.configuration.precision not in WEIGHT_BYTES:
        return None
    return _training_floor_s(row, own) if row.kind == "training" else _inference_floor_s(row, own)


def _inference_floor_s(row: Row, limits: Sequence[Limits]) -> float | None:
    batch, precision = row.configuration.batch_size, row.configuration.precision
    moved = PARAMETERS * WEIGHT_BYTES[precision] + batch * (PIXELS + CLASSES) * FLOAT_BYTES
    rate = matrix_rate(limits, ("fp32",) if precision == "fp32" else ())
    return rate and max(operations(inference_products(batch)) / rate, moved / bandwidth(limits, moved))


def _training_floor_s(row: Row, limits: Sequence[Limits]) -> float | None:
    batch, images = row.configuration.batch_size, row.samples[0].images
    rate = matrix_rate(limits, (row.configuration.precision,), PROTOCOL_STEP if batch == PROTOCOL_BATCH else "")
    if rate is None:
        return None
    step, parameters = operations(training_products(batch)) / rate, PARAMETERS * FLOAT_BYTES
    adam = ADAM_PASSES * parameters / bandwidth(limits, 4 * parameters)
    return images / batch * step + math.ceil(images / batch) * adam


def matrix_rate(limits: Sequence[Limits], precisions: Sequence[str] = (), purpose: str = "") -> float | None:
    """Return the best rate of products in some precisions, or any, of a purpose, or any: operations a second."""
    rates = (rate for found in limits for rate in found.matrix_rates)
    fitting = (rate for rate in rates if rate.purpose.startswith(purpose))
    return max((rate.flop_per_s for rate in fitting if not precisions or rate.precision in precisions), default=None)


def bandwidth(limits: Sequence[Limits], size_bytes: int) -> float:
    """Return the best rate at which memory of about a size is read or copied, in bytes a second."""
    probed = [found for limit in limits for found in limit.bandwidths]
    nearest = min((found.size_bytes for found in probed), key=lambda size: abs(math.log(size / size_bytes)))
    return max(found.bytes_per_s for found in probed if found.size_bytes == nearest)


def block_effects(rows: Sequence[Row]) -> list[float]:
    """Return how much slower each block was than the typical one, over all rows: 0.1 for 10% slower."""
    logs: dict[int, list[float]] = {}
    for row in rows:
        medians = process_medians(row)
        middle = median(medians.values())
        for block, value in medians.items():
            logs.setdefault(block, []).append(math.log(value / middle))
    return [math.expm1(median(found)) for _, found in sorted(logs.items())]


def alarms(record: BenchRecord) -> list[str]:
    """Say of each row that beat the machine's limit that it did: no number of it can be believed."""
    return [
        f"ALARM: {row_name(row)}, {place_name(row.configuration.batch_size, row.configuration.threads)}: "
        f"{share:.0%} of the machine's peak, which is impossible. Either the peak was measured while the machine was "
        f"slower, or what was timed is not this network: measure again when the machine is idle."
        for row in record.rows
        if row.samples and (share := summarise(record, row).beyond_peak)
    ]


def skipping(rows: Iterable[Row]) -> list[str]:
    """Say which engines leave products out, so that what beats the limit of all products is explained."""
    names = sorted({row.configuration.runtime for row in rows if row.skips_zeros})
    if not names:
        return []
    return [
        f"{', '.join(names)} skips products with zero, and images are mostly zeros: the floor is that of dense "
        f"products, so more than 100% of peak is no mistake."
    ]


def unsteady(record: BenchRecord) -> str | None:
    """Return in what way the machine was unsteady while it measured; None where it was steady."""
    busiest = max((block.busy_share + (block.steal_share or 0.0) for block in record.blocks), default=0.0)
    found = []
    for threads in sorted({row.configuration.threads for row in record.rows}):
        effects = block_effects([row for row in record.rows if row.samples and row.configuration.threads == threads])
        swing = (1 + max(effects)) / (1 + min(effects)) - 1 if effects else 0.0
        if swing > UNSTEADY:
            found.append(f"with {threads} thread(s) its slowest block was {swing:.0%} slower than its fastest")
    if busiest > UNSTEADY:
        found.append(f"others took up to {busiest:.0%} of its cores")
    found += quota(record.environment, record.conditions)
    return ", and ".join(found) or None


def quota(machine: Environment, conditions: Conditions) -> list[str]:
    """Say that a container's quota limits what is measured in it; nothing where there is none."""
    if machine.cpu_quota is None:
        return []
    waited, cores = conditions.throttled_periods, len(conditions.affinity)
    periods = f" and had made it wait in {waited:,} periods before" if waited else ""
    return [
        f"a quota allows it {machine.cpu_quota:g} of {cores} cores{periods}: it runs faster in bursts than it can last"
    ]
