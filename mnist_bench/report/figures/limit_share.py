"""How near each runtime comes to the machine's limit, in one batch size."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.ticker import PercentFormatter

from mnist_bench.analysis.timing import alarms, groups, place_name, summarise, timed_calls
from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.commands import on_run
from mnist_bench.core.kinds import PROTOCOL_BATCH, Skipped
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, dot_plot, short

ORDER = 6


def build(material: Material) -> Iterator[Picture | Skipped]:
    """A picture per benchmark of inference and number of threads, at batch 128 or the largest measured."""
    measured = material.inference
    for record in measured:
        sizes = record.plan.batch_sizes
        batch = PROTOCOL_BATCH if PROTOCOL_BATCH in sizes else max(sizes)
        for threads in sorted(record.plan.threads):
            yield _picture(record, batch, threads, material.out)
    if not measured:
        yield Skipped("share of the limit", "nothing was benchmarked", material.command_of_first("bench"))


def _picture(record: BenchRecord, batch: int, threads: int, out: Path) -> Picture | Skipped:
    rows = groups(timed_calls(record)).get((batch, threads), [])
    shares = {row.configuration.target: share for row in rows if (share := summarise(record, row).peak_share)}
    where = place_name(batch, threads)
    if not record.limits:
        reason = "how many operations an imported network takes is not counted"
        return Skipped(f"share of the limit of {record.name}, {where}", reason, "compare its latencies")
    if not shares:
        return Skipped(
            f"share of the limit of {record.name}, {where}",
            "no row has a limit",
            f"{on_run('bench', out / record.name)} measures it",
        )
    found = sorted(shares.items(), key=lambda pair: -pair[1])
    figure, axes = dot_plot(
        f"{short(record.name)}: {where}",
        [name for name, _ in found],
        [share for _, share in found],
        [None] * len(found),
        [False] * len(found),
    )
    axes.set(xlim=(0, 1.05), xlabel="share of the machine's limit")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.axvline(1.0, color="#000000", linewidth=1)
    says = (
        f"Share of the machine's limit that {record.name} reached, {where}: from {found[0][1]:.0%} "
        f"({found[0][0]}) down to {found[-1][1]:.0%} ({found[-1][0]})."
    )
    if told := alarms(record):
        says = " ".join([says, *told])
    return Picture(record.name, f"limit-share-{threads}", figure, says)
