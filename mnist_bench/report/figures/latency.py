"""Latency of each runtime with its interval: a panel per batch size and number of threads."""

from collections.abc import Iterator

from mnist_bench.bench.comparison import can_tell, fastest
from mnist_bench.bench.summary import Summary, rows_of, summarise
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, dot_plot, short, time_axis

ORDER = 5
Found = list[tuple[Row, Summary]]


def build(material: Material) -> Iterator[Picture | Skipped]:
    """The pictures of each benchmark of inference."""
    measured = [one for one in material.benchmarks if type(one) is BenchRecord]
    for record in measured:
        yield from _pictures(record)
    if not measured:
        yield Skipped("latency", "nothing was benchmarked", "mnist-bench bench")


def _pictures(record: BenchRecord) -> Iterator[Picture]:
    marked = {id(row) for row in fastest(record)}
    groups: dict[tuple[int, int], Found] = {}
    for row in rows_of(record, training=False):
        summary = summarise(record, row)
        if not summary.unresolved:
            groups.setdefault((row.configuration.batch_size, row.configuration.threads), []).append((row, summary))
    for (batch, threads), found in groups.items():
        found.sort(key=lambda pair: pair[1].p50)
        yield _picture(record, batch, threads, found, marked)


def _picture(record: BenchRecord, batch: int, threads: int, found: Found, marked: set[int]) -> Picture:
    where = f"batch {batch:,}, {threads} thread{'s' if threads > 1 else ''}"
    figure, axes = dot_plot(
        f"{short(record.name)}: {where}",
        [row.configuration.target for row, _ in found],
        [summary.p50 * 1e6 for _, summary in found],
        [summary.interval and (summary.interval.low * 1e6, summary.interval.high * 1e6) for _, summary in found],
        [id(row) in marked for row, _ in found],
    )
    time_axis(axes, "µs a call, with 95% interval")
    best, worst = found[0], found[-1]
    says = (
        f"Latency of {record.name}, {where}, µs a call on a logarithmic scale. {best[0].configuration.target} "
        f"{best[1].p50 * 1e6:,.1f} ({_remark(record, found, marked)}); "
        f"slowest {worst[0].configuration.target} {worst[1].p50 * 1e6:,.1f}."
    )
    return Picture(record.name, f"latency-{batch}-{threads}", figure, says)


def _remark(record: BenchRecord, found: Found, marked: set[int]) -> str:
    """Say whether the row with the lowest median is the fastest, as far as the blocks can tell."""
    rows = [row for row, _ in found]
    if id(rows[0]) in marked:
        return "significantly the fastest"
    if can_tell(record, rows):
        return "not significantly the fastest"
    return f"{len(record.blocks)} blocks are too few to tell whether it is the fastest"
