"""What was not compared, and what would make it possible."""

from collections.abc import Iterator

from mnist_bench.core.types import ParityRecord
from mnist_bench.report._table import Column, Table, ViewOptions

ORDER = 6


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table, where anything was skipped."""
    if record.skipped:
        rows = [(entry.target, entry.reason, entry.remedy) for entry in record.skipped]
        yield Table("Skipped", [Column("Target"), Column("Why"), Column("Remedy")], rows)
