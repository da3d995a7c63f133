"""The runs against each other: ReLU against Sigmoid, where both are here."""

from collections.abc import Iterator

from mnist_bench.core.commands import line, other_activation_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.report._figures import pictures
from mnist_bench.report._material import Material
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.page._blocks import Block
from mnist_bench.report.views.training import convergence

ORDER = 3
TITLE = "Activations and convergence"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """The validation curves in one picture each, and the table of convergence."""
    activations = {record.config.activation for record in material.records}
    if len(activations) == 1 and not any(record.imported for record in material.records):
        yield _what_to_do(material)
    yield from (picture for picture in pictures(material, "activations") if not isinstance(picture, Skipped))
    yield from convergence.build(material.records, options)


def _what_to_do(material: Material) -> Skipped:
    """Say how the other activation is trained in the same way."""
    first, several = material.records[0], len(material.records) > 1
    return Skipped(
        "ReLU against Sigmoid",
        f"{'these runs are all' if several else 'this page is of one run,'} {first.config.activation}",
        f"{other_activation_command(first, material.out)}, and then a page of both with "
        f"{line('report', '--html', '--run', 'NAME', '--run', 'NAME', out=material.out)}",
    )
