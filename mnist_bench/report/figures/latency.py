"""Latency of each runtime with its interval: a panel per batch size and number of threads."""

from collections.abc import Iterator

from mnist_bench.analysis.comparison import can_tell, fastest
from mnist_bench.analysis.timing import Summary, groups, place_name, summarise, timed_calls
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, dot_plot, short, time_axis

ORDER = 5
Found = list[tuple[Row, Summary]]


def build(material: Material) -> Iterator[Picture | Skipped]:
    """The pictures of each benchmark of inference."""
    measured = material.inference
    for record in measured:
        yield from _pictures(record)
    if not measured:
        yield Skipped("latency", "nothing was benchmarked", material.command_of_first("bench"))


def _pictures(record: BenchRecord) -> Iterator[Picture]:
    marked = {id(row) for row in fastest(record)}
    for (batch, threads), rows in groups(timed_calls(record)).items():
        found = [(row, summary) for row in rows if not (summary := summarise(record, row)).unresolved]
        if found:
            yield _picture(record, batch, threads, sorted(found, key=lambda pair: pair[1].p50), marked)


def _picture(record: BenchRecord, batch: int, threads: int, found: Found, marked: set[int]) -> Picture:
    where = place_name(batch, threads)
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
