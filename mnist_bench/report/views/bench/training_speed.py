"""How fast the training engines train."""

from collections.abc import Iterator
from statistics import median

from mnist_bench.bench.summary import summarise, unsteady
from mnist_bench.core.bench_types import TRAINING_FORMAT, BenchRecord, Row
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 4
COLUMNS = [
    Column("Engine"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Samples/s", Unit.COUNT),
    *(Column(name, Unit.SECONDS) for name in ("Epoch", "low", "high", "min", "Floor")),
    Column("Of limit", Unit.SHARE),
    Column("First step", Unit.DURATION),
    Column("Memory", Unit.MEMORY),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Samples a second in the steady state, over the real data; the share of the machine's limit."""
    rows = [row for row in record.rows if row.samples and row.configuration.format == TRAINING_FORMAT]
    rows.sort(key=lambda row: (row.configuration.batch_size, row.configuration.threads))
    if rows:
        lines = [_line(record, row) for row in rows]
        title = f"Training on {record.dataset}, {record.plan.device}"
        yield Table(title, COLUMNS, lines, notes=_notes(record))


def _line(record: BenchRecord, row: Row) -> list[Cell]:
    summary, configuration = summarise(record, row), row.configuration
    low, high = summary.interval or (None, None)
    peaks = [sample.peak_resident_bytes for sample in row.samples if sample.peak_resident_bytes]
    return [
        configuration.runtime,
        configuration.batch_size,
        configuration.threads,
        summary.images_per_s,
        summary.p50,
        low,
        high,
        summary.minimum,
        summary.floor_s,
        summary.limit_share,
        median(sample.first_call_s for sample in row.samples),
        max(peaks, default=None),
    ]


def _notes(record: BenchRecord) -> list[str]:
    notes = [
        f"Whole epochs of training steps after a first one to warm up; evaluation, loading and saving excluded. Epoch: "
        f"median of {len(record.blocks)} process medians with its exact 95% interval. Floor: the eight matrix products "
        f"of each step at the measured rate of those products, plus Adam's seven passes over the parameters at the "
        f"measured bandwidth. Every process came within 1% of the eager engine's loss over the first epoch.",
    ]
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}. Compare the minima, or measure again.")
    return notes
