"""How fast it trains."""

from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.views.bench import training_speed

ORDER = 10
TITLE = "Training throughput"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """What each training took as it ran, and what `bench --training` measured of the engines."""
    measured = material.training
    if measured:
        yield from pictures(material, "training-speed")
    for bench in measured:
        yield from training_speed.build(bench, options)
    if not measured:
        yield Skipped(
            "the training engines side by side",
            "they were never benchmarked",
            material.command("bench", material.records[0], "--training"),
        )
