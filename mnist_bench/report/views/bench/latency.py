"""How long a call takes: a table per batch size and number of threads."""

from collections.abc import Iterator

from mnist_bench.bench.comparison import ALPHA, fastest
from mnist_bench.bench.summary import Summary, summarise, unsteady
from mnist_bench.core.bench_types import TRAINING_FORMAT, BenchRecord, Row
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 1
COLUMNS = [
    Column("Runtime"),
    *(Column(name, Unit.MICROSECONDS) for name in ("p50", "low", "high", "min", "p90", "p99", "p99 ≤")),
    Column("µs a call"),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Latency of each runtime, the fastest first; marked only where a comparison with every other says FASTER."""
    rows = [row for row in record.rows if row.samples and row.configuration.format != TRAINING_FORMAT]
    marked = {id(row) for row in fastest(record)} if rows else set()
    groups = sorted({(row.configuration.batch_size, row.configuration.threads) for row in rows})
    for batch, threads in groups:
        own = [row for row in rows if (row.configuration.batch_size, row.configuration.threads) == (batch, threads)]
        found = sorted(((summarise(record, row), row) for row in own), key=lambda pair: pair[0].p50)
        title = f"Latency of {record.name}: batch {batch:,}, {threads} thread{'s' if threads > 1 else ''}"
        lines = [_line(summary, row, marked) for summary, row in found]
        last = (batch, threads) == groups[-1]
        yield Table(title, COLUMNS, lines, notes=_notes(record, [summary for summary, _ in found]) if last else [])


def _line(summary: Summary, row: Row, marked: set[int]) -> list[Cell]:
    low, high = summary.interval or (None, None)
    remark = "unresolved" if summary.unresolved else "fastest" if id(row) in marked else None
    times = (summary.p50, low, high, summary.minimum, summary.p90, summary.p99, summary.p99_bound.value)
    return [_name(row), *times, remark or ""]


def _name(row: Row) -> str:
    return f"{row.side}: {row.configuration.target}" if row.side else row.configuration.target


def _notes(record: BenchRecord, summaries: list[Summary]) -> list[str]:
    done, plan, others = len(record.blocks), record.plan, len(summaries) - 1
    needed = summaries[0].p99_bound.needed
    notes = [
        f"From host array to host array. p50: median of {done} process medians (one a block), low to high "
        f"its exact 95% interval, min the smallest; p90 and p99 of all calls, p99 ≤ its upper bound (99% confidence, "
        f"MLPerf LoadGen's early stopping; – where there are fewer than {needed} calls).",
        "fastest: FASTER than every other of its table (signed-rank test, Holm, 5%). unresolved: under 100 times what "
        "the clock costs. null does nothing: its time is the harness's.",
        f"Blocks in an order drawn from seed {plan.seed}; each process was warmed up for {plan.warm_up_s:g} s and at "
        f"least {plan.warm_up_calls} calls of each row. In the first block, before anything is timed, each answered all "
        f"test images in each configuration; only those with right answers are here.",
    ]
    if others * 0.5**done > ALPHA:
        notes.append(f"{done} blocks are too few to call one of {others + 1} rows the fastest: none is marked.")
    if not record.finished:
        notes.append(f"Only {done} of {plan.blocks} blocks are there: go on with --resume.")
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}. Compare the minima, or measure again.")
    return notes
