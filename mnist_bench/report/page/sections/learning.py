"""How accuracy and loss went, epoch by epoch."""

from collections.abc import Iterator

from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Folded
from mnist_bench.report.views.training import epochs

ORDER = 2
TITLE = "Learning curves"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The curves of each run; its epochs as a table, folded."""
    yield from pictures(material, "learning-curves")
    yield Folded("Every epoch in numbers", list(epochs.build(material.records, options)))
