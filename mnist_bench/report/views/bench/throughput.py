"""How many images a second, how near the machine's limit that is, and what memory it takes."""

from collections.abc import Iterator, Sequence

from mnist_bench.bench.summary import summarise
from mnist_bench.core.bench_types import TRAINING_FORMAT, BenchRecord, Row
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 2
COLUMNS = [
    Column("Runtime"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Images/s", Unit.COUNT),
    Column("Floor, µs", Unit.MICROSECONDS),
    Column("Of limit", Unit.SHARE),
    Column("Peak memory", Unit.MEMORY),
]
NOTE = (
    "Floor: what this machine would need at best, operations over the best float32 rate or bytes over bandwidth, the "
    "larger; no limit is measured for integers. Peak memory: resident, with Python, NumPy and the test images, up to "
    "that batch size."
)


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Images a second, the floor of this machine, the share of it that was reached, and memory."""
    rows = [row for row in record.rows if row.samples and row.configuration.format != TRAINING_FORMAT]
    lines = sorted((_line(record, row) for row in rows), key=_order)
    if lines:
        yield Table(f"Throughput of {record.name} on {record.plan.device}", COLUMNS, lines, notes=[NOTE])


def _order(line: Sequence[Cell]) -> tuple[float, ...]:
    """Order by batch size, threads and, the fastest first, images a second."""
    batch, threads, speed = (float(str(cell)) for cell in line[1:4])
    return batch, threads, -speed


def _line(record: BenchRecord, row: Row) -> list[Cell]:
    summary, configuration = summarise(record, row), row.configuration
    peaks = [sample.peak_resident_bytes for sample in row.samples if sample.peak_resident_bytes]
    return [
        f"{row.side}: {configuration.target}" if row.side else configuration.target,
        configuration.batch_size,
        configuration.threads,
        summary.images_per_s,
        summary.floor_s,
        summary.limit_share,
        max(peaks, default=None),
    ]
