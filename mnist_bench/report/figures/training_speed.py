"""How long an epoch takes in each training engine, beside the machine's floor."""

from collections.abc import Iterator

from mnist_bench.analysis.timing import Summary, groups, place_name, summarise, timed_epochs
from mnist_bench.core.bench_types import Row, TrainingBenchRecord
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import ORANGE, Picture, dot_plot, short

ORDER = 7


def build(material: Material) -> Iterator[Picture | Skipped]:
    """A picture per benchmark of training, batch size and number of threads."""
    measured = material.training
    for record in measured:
        for (batch, threads), rows in groups(timed_epochs(record)).items():
            found = [(row, summarise(record, row)) for row in rows]
            yield _picture(record, batch, threads, sorted(found, key=lambda pair: pair[1].p50))
    if not measured:
        yield Skipped("training speed", "no engine was benchmarked", material.command_of_first("bench", "--training"))


def _picture(record: TrainingBenchRecord, batch: int, threads: int, found: list[tuple[Row, Summary]]) -> Picture:
    where = place_name(batch, threads)
    figure, axes = dot_plot(
        f"{short(shown(record.dataset))}: {where}",
        [row.configuration.runtime for row, _ in found],
        [summary.p50 for _, summary in found],
        [summary.interval for _, summary in found],
        [False] * len(found),
    )
    floor = found[0][1].floor_s
    if floor is not None:
        axes.axvline(floor, color=ORANGE, linestyle="--", label=f"the machine's floor, {floor:.2f} s")
        axes.legend(loc="best")
    axes.set(xlabel="seconds an epoch, with 95% interval")
    axes.set_xlim(left=0)
    ends = ", ".join(f"{row.configuration.runtime} {summary.p50:.2f} s" for row, summary in found)
    beside = "" if floor is None else f"; this machine's floor is {floor:.2f} s"
    says = f"Seconds an epoch of {shown(record.dataset)}, {where}: {ends}{beside}."
    return Picture(record.name, f"training-speed-{batch}-{threads}", figure, says)
