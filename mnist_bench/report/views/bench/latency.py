"""How long a call takes: a table per batch size and number of threads."""

from collections.abc import Iterator
from pathlib import Path

from mnist_bench.analysis.comparison import can_tell, fastest, takes_part
from mnist_bench.analysis.timing import Summary, groups, place_name, summarise, timed_calls, unsteady
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.core.commands import on_run
from mnist_bench.core.stats import samples_needed
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 1
COLUMNS = [
    Column("Runtime"),
    *(Column(name, Unit.MICROSECONDS) for name in ("p50", "low", "high", "min", "p90", "p99", "p99 ≤")),
    Column("Mark"),
]


def build(record: BenchRecord, options: ViewOptions) -> Iterator[Table]:
    """Latency of each runtime, the fastest first; marked only where a comparison with every other says FASTER."""
    places = groups(timed_calls(record))
    marked = {id(row) for row in fastest(record)} if places else set()
    for (batch, threads), rows in places.items():
        found = sorted(((summarise(record, row), row) for row in rows), key=lambda pair: pair[0].p50)
        title = f"Latency of {record.name}: {place_name(batch, threads)}, µs a call"
        lines = [_line(record, summary, row, marked) for summary, row in found]
        last = (batch, threads) == max(places)
        yield Table(title, COLUMNS, lines, notes=_notes(record, list(places.values()), options.out) if last else [])


def _line(record: BenchRecord, summary: Summary, row: Row, marked: set[int]) -> list[Cell]:
    low, high = summary.interval or (None, None)
    remark = "unresolved" if summary.unresolved else "fastest" if id(row) in marked else ""
    if summary.processes < len(record.blocks):
        remark = f"{summary.processes}/{len(record.blocks)} blocks"
    times = (summary.p50, low, high, summary.minimum, summary.p90, summary.p99, summary.p99_bound.value)
    return [row.configuration.target, *times, remark]


def _notes(record: BenchRecord, compared: list[list[Row]], out: Path) -> list[str]:
    done, plan = len(record.blocks), record.plan
    notes = [
        f"Timed from host array to host array. p50: the median of {done} process medians (one per block); low to high: "
        f"its exact 95% interval; min: the smallest. p90 and p99 are over all calls; p99 ≤ is the upper bound of "
        f"MLPerf LoadGen's early stopping (99% confidence for these processes; – with fewer than "
        f"{samples_needed(0.99)} calls).",
        "fastest: significantly faster than every other row of its table (signed-rank test, Holm, 5%). unresolved: "
        "under 100 times the cost of reading the clock. null does nothing: its time is that of the harness.",
        f"The order within blocks is drawn from seed {plan.seed}. Each process was warmed up for {plan.warm_up_s:g} s "
        f"and at least {plan.warm_up_calls} calls of each row. In the first block, before anything is timed, each "
        f"answered all test images in each configuration, later those on which it is timed; only rows with correct "
        f"answers are here.",
    ]
    if dark := [rows for rows in compared if not can_tell(record, rows)]:
        several = min(sum(takes_part(record, row) for row in rows) for rows in dark)
        notes.append(f"{done} blocks are too few to call one of {several} rows the fastest: none is marked.")
    if not record.finished:
        notes.append(
            f"Only {done} of {plan.blocks} blocks are done: {on_run('bench', out / record.name, '--resume')} continues."
        )
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}. Compare the minima, or measure again.")
    return notes
