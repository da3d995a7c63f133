"""What this machine can tell apart: the A/A run."""

from collections.abc import Iterator

from mnist_bench.analysis.self_test import COPIES, POWER, Resolution, resolutions
from mnist_bench.analysis.timing import unsteady
from mnist_bench.core.bench_types import BenchRecord, SelfTestRecord
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 0
COLUMNS = [
    Column("Runtime"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Comparisons", Unit.COUNT),
    Column("False alarms", Unit.COUNT),
    Column("Half-width", Unit.SHARE),
    Column("Detects", Unit.SHARE),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """False alarms of a gate between copies of one target, and the smallest slow-down that it would have seen."""
    if isinstance(record, SelfTestRecord):
        lines = [_line(found) for found in resolutions(record)]
        yield Table(f"Self-test of {record.name}", COLUMNS, lines, notes=_notes(record))


def _line(found: Resolution) -> list[Cell]:
    own = found.configuration
    widths = (found.half_width, found.detectable)
    return [own.target, own.batch_size, own.threads, found.comparisons, found.alarms, *widths]


def _notes(record: SelfTestRecord) -> list[str]:
    notes = [
        f"The same target ran {COPIES} times in each of {len(record.blocks)} blocks; each copy is compared with every "
        f"other, in both directions, with a gate's test (nominally 1% false alarms; the comparisons are not "
        f"independent). Half-width: the median over their intervals. Detects: the slow-down that {POWER:.0%} of them "
        f"would have called SLOWER in one measurement of a gate with as many rows as this."
    ]
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}.")
    return notes
