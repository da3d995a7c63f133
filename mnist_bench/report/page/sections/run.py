"""What was trained, on what, with which protocol."""

from collections.abc import Iterator

from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.views.training import run

ORDER = 12
TITLE = "What was trained"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The table of the runs."""
    yield from run.build(material.records, options)
