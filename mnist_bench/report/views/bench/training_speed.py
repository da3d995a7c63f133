"""How fast the training engines train."""

from collections.abc import Iterator
from statistics import median

from mnist_bench.analysis.timing import (
    alarms,
    dense_flop_per_s,
    peak_memory,
    skipping,
    summarise,
    timed_epochs,
    unsteady,
)
from mnist_bench.core.bench_types import LOSS_TOLERANCE, REFERENCE_ENGINE, BenchRecord, Row
from mnist_bench.core.dataset_names import shown
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 4
SPEED = [
    Column("Engine"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Samples/s", Unit.COUNT),
    *(Column(name, Unit.SECONDS) for name in ("Epoch", "low", "high", "min", "Floor")),
    Column("Of limit", Unit.SHARE),
    Column("FLOP/s", Unit.GIGA_PER_SECOND),
]
BEGINNING = [
    Column("Engine"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    *(Column(name, Unit.DURATION) for name in ("Import", "Data and engine", "First step")),
    Column("Peak memory", Unit.MEMORY),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Samples a second in the steady state, over the real data; the share of the limit; what it costs to begin."""
    if rows := timed_epochs(record):
        title = f"Training on {shown(record.dataset)}, {record.plan.device}"
        yield Table(title, SPEED, [_speed(record, row) for row in rows], notes=_notes(record))
        yield Table("Before the steady state", BEGINNING, [_beginning(row) for row in rows], notes=[FIRST_STEP])


FIRST_STEP = (
    "Medians over the processes. Import is measured only in a process's first configuration; the first step includes "
    "whatever an engine compiles or captures."
)


def _speed(record: BenchRecord, row: Row) -> list[Cell]:
    summary = summarise(record, row)
    low, high = summary.interval or (None, None)
    times = (summary.p50, low, high, summary.minimum, summary.floor_s)
    flop_per_s = dense_flop_per_s(row, summary.p50)
    return [*_which(row), summary.images_per_s, *times, summary.peak_share, flop_per_s]


def _beginning(row: Row) -> list[Cell]:
    imports = [sample.import_s for sample in row.samples if sample.import_s is not None]
    loads = [sample.load_s for sample in row.samples if sample.load_s is not None]
    return [
        *_which(row),
        median(imports) if imports else None,
        median(loads) if loads else None,
        median(sample.first_call_s for sample in row.samples),
        peak_memory(row),
    ]


def _which(row: Row) -> list[Cell]:
    return [row.configuration.runtime, row.configuration.batch_size, row.configuration.threads]


def _notes(record: BenchRecord) -> list[str]:
    notes = [
        *alarms(record),
        f"Whole epochs of training steps after a first one to warm up; evaluation, loading and saving excluded. Epoch: "
        f"median of {len(record.blocks)} process medians with its exact 95% interval. Floor: the eight matrix products "
        f"of each step at the measured rate of those products, plus Adam's seven passes over the parameters at the "
        f"measured bandwidth. Every process came within {LOSS_TOLERANCE:.0%} of the {REFERENCE_ENGINE} engine's loss "
        f"over the first epoch. FLOP/s: of all products, as if none were skipped.",
    ]
    notes += skipping(timed_epochs(record))
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}. Compare the minima, or measure again.")
    return notes
