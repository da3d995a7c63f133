"""How far each number can be trusted."""

from collections.abc import Iterator

from mnist_bench.analysis.timing import SPREAD_WARNING, summarise, timed_calls, timed_epochs
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 5
PREVIEW = 8
COLUMNS = [
    Column("Runtime"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Spread", Unit.SHARE),
    Column("Processes", Unit.COUNT),
    Column("Calls", Unit.COUNT),
    Column("Outliers", Unit.COUNT),
    Column("p90 ≤", Unit.DURATION),
    Column("Answers"),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Spread between processes, outliers among calls, and what the check of the answers said; the worst first."""
    rows = [*timed_calls(record), *timed_epochs(record)]
    lines = sorted((_line(record, row) for row in rows), key=lambda line: -float(str(line[3])))
    if lines:
        title = f"How far to trust the numbers of {record.name}"
        yield Table(title, COLUMNS, lines, notes=_notes(record, rows), preview=PREVIEW)


def _line(record: BenchRecord, row: Row) -> list[Cell]:
    summary, configuration = summarise(record, row), row.configuration
    return [
        configuration.target,
        configuration.batch_size,
        configuration.threads,
        summary.spread,
        summary.processes,
        summary.calls,
        summary.outliers,
        summary.p90_bound.value,
        _answers(row),
    ]


def _answers(row: Row) -> str:
    flips = row.deviations
    return f"{flips} flip{'s' if flips > 1 else ''}" if flips else row.checked


def _notes(record: BenchRecord, rows: list[Row]) -> list[str]:
    wide = sum(summarise(record, row).spread > SPREAD_WARNING for row in rows)
    notes = [
        "Spread: the interquartile range of the process medians, divided by their median. Outliers: calls more than 10 "
        "standard deviations (estimated from the median) away; none is dropped. p90 ≤: an upper bound as for p99, "
        "which needs 64 calls. Answers: how far they agree with the reference, on all test images, in the same "
        "configuration and process that was then timed."
    ]
    if wide:
        notes.append(f"The spread is above {SPREAD_WARNING:.0%} in {wide} of {len(rows)} rows: these are uncertain.")
    return notes
