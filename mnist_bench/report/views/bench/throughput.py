"""How many images a second, how near the machine's limit that is, and what memory it takes."""

from collections.abc import Iterator

from mnist_bench.analysis.timing import alarms, peak_memory, skipping, summarise, timed_calls
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 2
COLUMNS = [
    Column("Runtime"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Images/s", Unit.COUNT),
    Column("Floor", Unit.DURATION),
    Column("Of limit", Unit.SHARE),
    Column("Peak memory", Unit.MEMORY),
]
NOTE = (
    "Floor: the least time this machine needs, operations divided by its peak rate or bytes by its bandwidth, "
    "whichever is larger; no peak is measured for integers. Peak memory: resident, "
    "including Python, NumPy and the test images, of processes that had served no larger batch."
)


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Images a second, the floor of this machine, the share of it that was reached, and memory."""
    rows = sorted(timed_calls(record), key=lambda row: _order(record, row))
    lines = [_line(record, row) for row in rows]
    if lines:
        title = f"Throughput of {record.name} on {record.plan.device}"
        yield Table(title, _columns(record), lines, notes=[*alarms(record), *skipping(timed_calls(record)), NOTE])


def _columns(record: BenchRecord) -> list[Column]:
    return COLUMNS if record.plan.device == "cpu" else [*COLUMNS, Column("Device memory", Unit.MEMORY)]


def _order(record: BenchRecord, row: Row) -> tuple[float, ...]:
    """Order by batch size, threads and time: the fastest first."""
    return row.configuration.batch_size, row.configuration.threads, summarise(record, row).p50


def _line(record: BenchRecord, row: Row) -> list[Cell]:
    summary, configuration = summarise(record, row), row.configuration
    on_device = [sample.peak_device_bytes for sample in row.samples if sample.peak_device_bytes]
    return [
        configuration.target,
        configuration.batch_size,
        configuration.threads,
        None if summary.unresolved else summary.images_per_s,
        summary.floor_s,
        summary.peak_share,
        peak_memory(row),
        *([] if record.plan.device == "cpu" else [max(on_device, default=None)]),
    ]
