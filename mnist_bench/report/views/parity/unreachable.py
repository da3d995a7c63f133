"""What there is no result for, and why: its worker hung, died, or its file is not the one that was compared."""

from collections.abc import Iterator

from mnist_bench.core.types import ParityRecord
from mnist_bench.report._table import Column, Table, ViewOptions

ORDER = 0


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table, where there was such a target: nothing is known of it, which is no success."""
    if record.unreachable:
        rows = [(entry.target, entry.reason, entry.remedy) for entry in record.unreachable]
        yield Table("No result", [Column("Target"), Column("Why"), Column("Remedy")], rows)
