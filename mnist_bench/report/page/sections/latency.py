"""How long a call takes in each runtime."""

from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Folded, Heading
from mnist_bench.report.views.bench import cold_start, latency, not_measured, trust

ORDER = 9
TITLE = "Latency"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per run: the intervals as pictures, the numbers folded; or that it was never benchmarked."""
    plots = list(pictures(material, "latency"))
    for record in material.records:
        yield Heading(record.name)
        bench = material.inference_of(record)
        if bench is None:
            yield Skipped(
                f"latency of {record.name}",
                "its present weights were never benchmarked",
                material.command("bench", record),
            )
            continue
        yield from (one for one in plots if not isinstance(one, Skipped) and one.run == record.name)
        yield Folded("Latency in numbers", list(latency.build(bench, options)))
        yield Folded("Cold start and memory", list(cold_start.build(bench, options)))
        yield from not_measured.build(bench, options)
        yield Folded("How far to trust these numbers", list(trust.build(bench, options)))
