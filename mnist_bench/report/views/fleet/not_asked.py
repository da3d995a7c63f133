"""What was not compared by processor, and what could not be asked."""

from collections.abc import Iterator

from mnist_bench.core.types import FleetRecord
from mnist_bench.report._table import Table, ViewOptions
from mnist_bench.report.views.parity import skipped, unreachable

ORDER = 4


def build(record: FleetRecord, options: ViewOptions) -> Iterator[Table]:
    """As for every comparison."""
    yield from unreachable.build(record, options)
    yield from skipped.build(record, options)
