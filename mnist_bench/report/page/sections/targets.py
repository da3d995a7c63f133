"""What one needs to know of each target to choose one."""

from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report._targets import targets_table
from mnist_bench.report.page._blocks import Block

ORDER = 12
TITLE = "Targets side by side"


def build(material: Material, _options: ViewOptions) -> Iterator[Block]:
    """A table per run that was verified."""
    found = {record.name: record for record in material.comparisons}
    for record in material.records:
        if record.name in found:
            yield targets_table(found[record.name], material.inference_of(record))
        else:
            how = material.command("verify", record)
            yield Skipped(f"targets of {record.name}", "its present weights were never verified", how)
