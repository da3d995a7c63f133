"""What was measured just now, or of two sides, as tables: comparisons, machines, LoadGen's sessions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from mnist_bench.analysis.comparison import Compared
from mnist_bench.analysis.load import Loaded
from mnist_bench.analysis.timing import UNSTEADY, quota
from mnist_bench.core.bench_types import Conditions, Limits
from mnist_bench.core.types import Environment
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit
from mnist_bench.report.views.bench.limits import limits_table

COLUMNS = [
    Column("Runtime"),
    Column("Batch", Unit.COUNT),
    Column("Threads", Unit.COUNT),
    Column("Ratio", Unit.RATIO),
    Column("low", Unit.RATIO),
    Column("high", Unit.RATIO),
    Column("Blocks", Unit.COUNT),
    Column("Verdict"),
]


def comparison_table(title: str, compared: Sequence[Compared], confidence: float, notes: Sequence[str] = ()) -> Table:
    """Make a table of ratios, candidate over baseline: above 1 the candidate is slower."""
    deltas = sorted({found.delta for found in compared})
    widths = f"{deltas[0]:.1%}" + (f" to {deltas[-1]:.1%} (what a self-test saw)" if len(deltas) > 1 else "")
    many = f"{len(compared)} comparison{'s' if len(compared) > 1 else ''}"
    how = (
        f"Ratio: candidate over baseline, Hodges-Lehmann estimate over the blocks, low to high its exact "
        f"{confidence:.0%} signed-rank interval. EQUIVALENT: the interval is within ±{widths}. INCONCLUSIVE is not "
        f"“no change”. FASTER and SLOWER allow for {many} (Holm)."
    )
    return Table(title, COLUMNS, [_compared(found) for found in compared], notes=[how, *notes])


def _compared(found: Compared) -> list[Cell]:
    ours, theirs, estimate = found.candidate.configuration, found.baseline.configuration, found.estimate
    low, high = estimate.interval or (None, None)
    name = ours.target if ours.target == theirs.target else f"{ours.target} / {theirs.target}"
    return [name, ours.batch_size, ours.threads, estimate.ratio, low, high, estimate.blocks, found.verdict]


UNITS = {"memory_bytes": Unit.MEMORY, "busy_share": Unit.SHARE, "steal_share": Unit.SHARE, "cores": Unit.COUNT}


def environment_tables(found: Environment, conditions: Conditions, limits: Sequence[Limits]) -> Iterator[Table]:
    """Make a table of everything that is recorded of a machine, and one of its limits."""
    lines = [line for part in (found, conditions) for line in facts_of(part)]
    yield Table("This machine", [Column("What"), Column("Found")], lines)
    busy = conditions.busy_share + (conditions.steal_share or 0.0)
    notes = [f"Others took {busy:.0%} of the cores: these limits are too low."] if busy > UNSTEADY else []
    notes += [f"This machine is limited: {words}." for words in quota(found, conditions)]
    yield replace(limits_table(limits), notes=notes)


def facts_of(part: msgspec.Struct) -> Iterator[list[Cell]]:
    """Yield a line per fact: its name and its value."""
    for field, value in msgspec.structs.asdict(part).items():
        name = field.replace("_", " ")
        if isinstance(value, dict):
            yield from ([key, str(entry)] for key, entry in value.items())
        elif field == "frequency_hz" and value:
            yield ["frequency", f"{value / 1e9:.2f} GHz"]
        elif field == "cpu_quota":
            yield ["cpu quota", "none" if value is None else f"{value:g} cores"]
        elif field in UNITS:
            unit = UNITS[field]
            yield [name.removesuffix(" bytes"), Quantity(value, unit)]
        else:
            yield [name, None if value is None else _text(value)]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


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
    return Table(f"MLPerf LoadGen, {scenario}", columns, [_session(one) for one in found], notes=notes)


def _session(one: Loaded) -> list[Cell]:
    rate = next((float(one.summary[name]) for name in RATES if name in one.summary), None)
    times = [float(one.summary[name]) * 1e-9 if name in one.summary else None for name in TIMES]
    result = one.summary.get("Result is", "none")
    return [one.configuration.target, one.configuration.threads, result, rate, *times]
