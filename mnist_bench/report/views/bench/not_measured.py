"""What could not be measured, and why."""

from collections.abc import Iterator

from mnist_bench.core.bench_types import BenchRecord, Failure
from mnist_bench.report._table import Column, Table, ViewOptions

ORDER = 7


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Targets whose process failed, and targets that are not here."""
    failed = [(_what(entry), f"block {entry.block + 1}: {entry.reason}", "") for entry in record.failures]
    absent = [(entry.target, entry.reason, entry.remedy) for entry in record.skipped]
    if failed or absent:
        columns = [Column("Not measured"), Column("Why"), Column("Remedy")]
        yield Table("Not measured", columns, [*failed, *absent])


def _what(entry: Failure) -> str:
    name = f"{entry.side}: {entry.target}" if entry.side else entry.target
    return name if entry.threads is None else f"{name}, batch {entry.batch_size}, {entry.threads} thread(s)"
