"""Whether anything became slower: both sides of a gate, and what a second measurement confirmed."""

from collections.abc import Iterator

from mnist_bench.bench.gate import CONFIDENCE, confirmed, judged
from mnist_bench.bench.summary import unsteady
from mnist_bench.core.bench_types import BenchRecord, GateRecord
from mnist_bench.core.stats import SMALLEST_DELTA
from mnist_bench.report._comparison import comparison_table
from mnist_bench.report._table import Table, ViewOptions

ORDER = 0


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """The candidate against the baseline, block by block; and again where the first measurement said SLOWER."""
    if not isinstance(record, GateRecord):
        return
    title = f"{record.name} against {record.plan.baseline}"
    trouble = unsteady(record)
    notes = [f"The machine was unsteady: {trouble}."] if trouble else []
    yield comparison_table(title, judged(record), CONFIDENCE, SMALLEST_DELTA, notes)
    if record.confirmation:
        again = confirmed(record)
        if again:
            yield comparison_table(f"{title}: confirmed", again, CONFIDENCE, SMALLEST_DELTA)
