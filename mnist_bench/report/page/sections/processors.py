"""Whether the answers are the same on other processors."""

from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Heading
from mnist_bench.report.views.fleet import by_processor, not_asked, processor_flips, processors

ORDER = 7
TITLE = "Other processors"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """Per run: what every processor answered, where they disagree, and what they are; or that none was tried."""
    found = {record.name: record for record in material.fleets}
    for record in material.records:
        yield Heading(record.name)
        if fleet := found.get(record.name):
            for view in (by_processor, processor_flips, processors, not_asked):
                yield from view.build(fleet, options)
        else:
            how = material.command("verify", record, "--cpu", "all")
            yield Skipped(f"other processors for {record.name}", "its present weights were tried on none", how)
