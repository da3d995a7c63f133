"""Whether anything became slower: both sides of a gate, and what a second measurement confirmed."""

from collections.abc import Iterator
from pathlib import Path

from mnist_bench.analysis.comparison import GATE_CONFIDENCE
from mnist_bench.analysis.gate import again, judged, unpaired
from mnist_bench.analysis.timing import unsteady
from mnist_bench.core.bench_types import BenchRecord, GateRecord
from mnist_bench.core.commands import on_run
from mnist_bench.report._measured import comparison_table
from mnist_bench.report._table import Table, ViewOptions

ORDER = 0


def build(record: BenchRecord, options: ViewOptions) -> Iterator[Table]:
    """The candidate against the baseline, block by block; and again where the first measurement said SLOWER."""
    if not isinstance(record, GateRecord):
        return
    first, second = judged(record), again(record)
    title = f"{record.name} against {record.plan.baseline}"
    yield comparison_table(title, first, GATE_CONFIDENCE, _notes(record, options.out))
    if second:
        notes = ["Only what both measurements call SLOWER fails the gate."]
        yield comparison_table(f"{title}, measured again", second, GATE_CONFIDENCE, notes)


def _notes(record: GateRecord, out: Path) -> list[str]:
    notes = []
    if not record.finished:
        done = f"{len(record.blocks)} of {record.plan.blocks} blocks"
        again = on_run("bench", out / record.name, "--gate", "--resume")
        notes.append(f"Unfinished, {done}: nothing is decided; {again} goes on.")
    if trouble := unsteady(record):
        notes.append(f"The machine was unsteady: {trouble}.")
    if alone := unpaired(record):
        notes.append(f"Not compared: {', '.join(alone)}.")
    return notes
