"""How fast is it really?"""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.comparison import can_tell, fastest, takes_part
from mnist_bench.analysis.timing import groups, place_name, summarise, timed_calls, unsteady
from mnist_bench.core.bench_types import BenchRecord, Row
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 3
QUESTION = "How fast is it really?"


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per benchmarked run and configuration: the row with the lowest median, and whether it is significantly first."""
    measured = material.inference
    sentences = [sentence for record in measured for sentence in _sentences(record)]
    if sentences:
        yield Answer(QUESTION, sentences, "latency")


def _sentences(record: BenchRecord) -> Iterator[str]:
    marked = {id(row) for row in fastest(record)}
    for rows in groups(row for row in timed_calls(record) if takes_part(record, row)).values():
        best = min(rows, key=lambda row: summarise(record, row).p50)
        yield _sentence(record, best, _remark(record, rows, first=id(best) in marked))
    if trouble := unsteady(record):
        yield f"The machine was unsteady while {record.name} was measured: {trouble}."


def _remark(record: BenchRecord, rows: Sequence[Row], *, first: bool) -> str:
    if len(rows) == 1:
        return "nothing else was measured"
    if first:
        return "significantly faster than every other"
    if not can_tell(record, rows):
        return f"the lowest median, but {len(record.blocks)} blocks are too few to tell whether it is the fastest"
    return "the lowest median, but not significantly faster than every other"


def _sentence(record: BenchRecord, row: Row, remark: str) -> str:
    summary, batch, threads = summarise(record, row), row.configuration.batch_size, row.configuration.threads
    between = (
        f" (95% interval {summary.interval.low * 1e6:,.1f} to {summary.interval.high * 1e6:,.1f})"
        if summary.interval
        else ""
    )
    return (
        f"{record.name}, {place_name(batch, threads)}: "
        f"{row.configuration.target} takes {summary.p50 * 1e6:,.1f} µs a call{between}, {summary.images_per_s:,.0f} "
        f"images a second; {remark}."
    )
