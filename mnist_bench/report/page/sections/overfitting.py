"""Does it overfit."""

from collections.abc import Iterator

from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.views.training import overfitting

ORDER = 4
TITLE = "Overfitting"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The table with both gaps, and the verdicts by their rule."""
    yield from overfitting.build(material.records, options)
