"""What MLPerf LoadGen said, as a table."""

from collections.abc import Sequence

from mnist_bench.analysis.load import Loaded
from mnist_bench.report._table import Cell, Column, Table, Unit

TIMES = ("50.00 percentile latency (ns)", "90.00 percentile latency (ns)", "99.00 percentile latency (ns)")
RATES = (
    "QPS w/o loadgen overhead",
    "Samples per second",
    "Completed samples per second",
    "Scheduled samples per second",
)


def load_table(scenario: str, found: Sequence[Loaded], failed: Sequence[str] = ()) -> Table:
    """Make a row per session: what LoadGen's summaries say, and where they are; say why others failed."""
    columns = [
        Column("Runtime"),
        Column("Threads", Unit.COUNT),
        Column("Result"),
        Column("Samples/s", Unit.COUNT),
        *(Column(name, Unit.DURATION) for name in ("p50", "p90", "p99")),
    ]
    notes = [*failed, *(f"{one.configuration.target}: {one.path}" for one in found)]
    notes.append("LoadGen's own figures, from its summaries; not an official MLPerf result.")
    return Table(f"MLPerf LoadGen, {scenario}", columns, [_line(one) for one in found], notes=notes)


def _line(one: Loaded) -> list[Cell]:
    rate = next((float(one.summary[name]) for name in RATES if name in one.summary), None)
    times = [float(one.summary[name]) * 1e-9 if name in one.summary else None for name in TIMES]
    result = one.summary.get("Result is", "none")
    return [one.configuration.target, one.configuration.threads, result, rate, *times]
