"""Which target should be taken?"""

from collections.abc import Iterator, Mapping, Sequence

from mnist_bench.analysis import processors
from mnist_bench.analysis.parity import by_target, flipped
from mnist_bench.analysis.starting import cold_starts, peak_memory
from mnist_bench.analysis.timing import place_name, summarise, timed_calls
from mnist_bench.core.bench_types import InferenceBenchRecord, Row
from mnist_bench.core.types import FleetRecord, Record
from mnist_bench.report._deployment import passed_everywhere
from mnist_bench.report._material import Material
from mnist_bench.report._summary import SHOWN_BATCHES
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 4
QUESTION = "Which target should I take?"
RULE = (
    "How this is chosen: among the targets that passed every comparison, here and on every processor that was tried, "
    "the one with the lowest median latency at any number of threads (for significance, see Latency); the one whose "
    "process needs the least memory; the one with the smallest libraries, or the smallest file if it needs none; and "
    "the one that passed on the most processors."
)


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per run that was both verified and benchmarked: the best that passed, by each of four measures."""
    sentences = [" ".join(words) for record in material.records if (words := list(_of_run(material, record)))]
    if sentences:
        yield Answer(QUESTION, [*sentences, RULE], "targets")


def _of_run(material: Material, run: Record) -> Iterator[str]:
    record, compared = material.inference_of(run), material.comparison_of(run)
    if record is None or compared is None:
        return
    passed = passed_everywhere(material, run) or ()
    flips = {name: flipped(compared, results) for name, results in by_target(compared).items() if name in passed}
    rows = [row for row in timed_calls(record) if row.configuration.target in flips]
    sizes = {row.configuration.batch_size for row in rows}
    for size in sorted(sizes & {*SHOWN_BATCHES} or sizes):
        yield _fastest(record, [row for row in rows if row.configuration.batch_size == size], flips)
    if rows:
        yield from _lightest(record, flips)
        yield from _smallest(rows)
    if fleet := material.fleet_of(run):
        yield from _most_processors(fleet)


def _lightest(record: InferenceBenchRecord, passed: Mapping[str, int]) -> Iterator[str]:
    peaks = {
        row.configuration.target: peak
        for row, samples in cold_starts(record)
        if row.configuration.target in passed and (peak := peak_memory(samples))
    }
    if peaks:
        least = min(peaks, key=lambda name: peaks[name])
        yield f"{least} needs the least memory: {peaks[least] / 1e6:,.0f} MB, including the test images."


def _smallest(rows: Sequence[Row]) -> Iterator[str]:
    """Name what takes least room; and the smallest of those that need a library at all, where that is another."""
    # What runs beside Python needs more than is counted: Node, or a browser.
    known = [row for row in rows if row.installed_bytes is not None and not row.configuration.host]
    if bare := [row for row in known if not row.installed_bytes]:
        least = min(bare, key=lambda row: row.size_bytes or 0)
        yield (
            f"{least.configuration.target} needs no library, only its file of {(least.size_bytes or 0) / 1e6:,.1f} MB."
        )
    if others := [row for row in known if row.installed_bytes]:
        least = min(others, key=lambda row: (row.installed_bytes or 0, row.size_bytes or 0))
        first = "Among those that need a library, the smallest installation" if bare else "The smallest installation"
        size = (least.installed_bytes or 0) / 1e6
        yield f"{first} is that of {least.configuration.runtime}: {size:,.0f} MB with all its dependencies."


def _most_processors(fleet: FleetRecord) -> Iterator[str]:
    """Name what passed on most emulated processors: all that did on as many."""
    passed = {
        f"{runtime} in {precision}": len(
            {one.configuration.processor for one in results if one.configuration.processor and not one.failures}
            - {one.configuration.processor for one in results if one.failures}
        )
        for (runtime, precision), results in processors.by_file(fleet).items()
    }
    most, asked = max(passed.values(), default=0), len(processors.counted(fleet))
    if most:
        names = ", ".join(name for name, count in passed.items() if count == most)
        yield f"Passed on the most processors, {most} of {asked} emulated ones: {names}."


def _fastest(record: InferenceBenchRecord, rows: Sequence[Row], flips: Mapping[str, int]) -> str:
    """Name the fastest of some rows of one batch size, and of those in float32 where that is another."""

    def median(row: Row) -> float:
        return summarise(record, row).p50

    def said(row: Row) -> str:
        changed = flips[row.configuration.target]
        place = place_name(row.configuration.batch_size, row.configuration.threads)
        return (
            f"{row.configuration.target} ({median(row) * 1e6:,.1f} µs a call, {place}, "
            f"{changed:,} prediction{'' if changed == 1 else 's'} changed)"
        )

    first = min(rows, key=median)
    exact = [row for row in rows if row.configuration.precision == "fp32"]
    sentence = f"{record.name}: the fastest is {said(first)}"
    if not exact or first.configuration.precision == "fp32":
        return f"{sentence}."
    return f"{sentence}, and in float32 {said(min(exact, key=median))}."
