"""The runs against each other: usually ReLU against Sigmoid."""

from collections.abc import Iterator

from mnist_bench.core.types import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.views.training import convergence

ORDER = 4
TITLE = "ReLU against Sigmoid, and how soon it gets good"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The validation curves in one picture each, and the table of convergence."""
    for picture in pictures(material, "activations"):
        yield _what_to_do(material) if isinstance(picture, Skipped) else picture
    yield from convergence.build(material.records, options)


def _what_to_do(material: Material) -> Skipped:
    activations = {record.config.activation for record in material.records}
    other = "sigmoid" if activations == {"relu"} else "relu"
    name = material.records[0].name
    return Skipped(
        "ReLU against Sigmoid",
        f"this page is of {len(material.records)} run{'s' if len(material.records) > 1 else ''}",
        f"mnist-bench train --activation {other}, then mnist-bench report --html --run {name} --run ITS-NAME",
    )
