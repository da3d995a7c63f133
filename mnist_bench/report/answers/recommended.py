"""Which target should be taken?"""

from collections.abc import Iterator, Mapping, Sequence

from mnist_bench.analysis.parity import by_target, flipped
from mnist_bench.analysis.timing import peak_memory, place_name, summarise, timed_calls
from mnist_bench.core.bench_types import InferenceBenchRecord, Row
from mnist_bench.core.types import ParityRecord
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.answers import Answer

ORDER = 4
QUESTION = "Which target should I take?"
RULE = (
    "The rule: of the targets that passed every comparison of the same weights, the one with the lowest median; not "
    "the marks of significance, which the question above gives."
)


def build(material: Material, _options: ViewOptions) -> Iterator[Answer]:
    """Per run that was both verified and benchmarked: the fastest that passed, and the one that takes least memory."""
    compared = {record.weights_sha256: record for record in material.comparisons}
    sentences = [
        " ".join(words)
        for record in material.inference
        if (found := compared.get(record.weights_sha256)) and (words := list(_sentences(record, found)))
    ]
    if sentences:
        yield Answer(QUESTION, [*sentences, RULE], "latency")


def _sentences(record: InferenceBenchRecord, compared: ParityRecord) -> Iterator[str]:
    flips = {
        name: flipped(compared, results)
        for name, results in by_target(compared).items()
        if not any(result.failures for result in results)
    }
    rows = [row for row in timed_calls(record) if row.configuration.target in flips]
    for size in sorted({row.configuration.batch_size for row in rows}):
        yield _fastest(record, [row for row in rows if row.configuration.batch_size == size], flips)
    light = [row for row in rows if peak_memory(row)]
    if light:
        least = min(light, key=lambda row: peak_memory(row) or 0)
        yield (
            f"The least memory is {least.configuration.target}'s: {(peak_memory(least) or 0) / 1e6:,.0f} MB, with "
            f"Python and the test images."
        )


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
