"""The few numbers that a reader looks for first."""

from collections.abc import Iterator

from mnist_bench.report._headline import headline
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block

ORDER = 0
TITLE = "Summary"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """A row per run."""
    yield headline(material, options)
