"""How near each runtime comes to what the machine could do at best."""

from collections.abc import Iterator
from dataclasses import replace

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Folded
from mnist_bench.report.views.bench import limits, throughput

ORDER = 11
TITLE = "Share of hardware peak"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The share that each runtime reached, images a second, and the limits themselves."""
    benches = [bench for record in material.records if (bench := material.inference_of(record))]
    if not benches:
        how = material.command("bench", material.records[0])
        yield Skipped("the machine's limit", "no run here was ever benchmarked", how)
        return
    yield from pictures(material, "limit-share")
    for bench in benches:
        yield Folded(f"Images a second of {bench.name}", list(throughput.build(bench, options)))
        for found in limits.build(bench, options):
            yield replace(found, title=f"{found.title}, when {bench.name} was benchmarked")
