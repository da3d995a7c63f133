"""The few numbers that a reader looks for first."""

from collections.abc import Iterator
from dataclasses import replace

from mnist_bench.report._headline import headline
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block

ORDER = 0
TITLE = "Summary"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """A row per run."""
    found = headline(material, options)
    yield replace(found, title=found.columns[0].name)  # the section says already that it is a summary
