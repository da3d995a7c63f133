"""What the numbers say, in sentences: each is computed from the record."""

from collections.abc import Iterator

from mnist_bench.core import plugins
from mnist_bench.report import answers
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block, Text

ORDER = 1
TITLE = "What the numbers say"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The answers, each with the section that shows it."""
    yield Text("Every sentence here was put together by a program, from the saved record and by rules that it names.")
    for module in plugins.load_all(answers):
        yield from module.build(material, options)
