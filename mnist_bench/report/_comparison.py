"""What a comparison of two sides says, as a table."""

from collections.abc import Sequence

from mnist_bench.analysis.comparison import Compared
from mnist_bench.report._table import Cell, Column, Table, Unit

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
    return Table(title, COLUMNS, [_line(found) for found in compared], notes=[how, *notes])


def _line(found: Compared) -> list[Cell]:
    ours, theirs, estimate = found.candidate.configuration, found.baseline.configuration, found.estimate
    low, high = estimate.interval or (None, None)
    name = ours.target if ours.target == theirs.target else f"{ours.target} / {theirs.target}"
    return [name, ours.batch_size, ours.threads, estimate.ratio, low, high, estimate.blocks, found.verdict]
