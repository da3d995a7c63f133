"""The few numbers that a reader looks for first."""

from collections.abc import Iterator

from mnist_bench.report._material import Material
from mnist_bench.report._summary import headline
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions
from mnist_bench.report.page._blocks import Block

ORDER = 0
TITLE = "Summary"


def build(material: Material, options: ViewOptions) -> Iterator[Block]:
    """A column per run: what `headline` has in a row would not fit on a phone."""
    found = headline(material, options)
    name, *facts = found.columns
    columns = [Column(name.name), *(Column(str(row[0])) for row in found.rows)]
    rows = [
        [fact.name, *(_with_unit(row[place], fact.unit) for row in found.rows)] for place, fact in enumerate(facts, 1)
    ]
    yield Table(name.name, columns, rows)  # the section says already that it is a summary


def _with_unit(cell: Cell, unit: Unit) -> Cell:
    return Quantity(cell, unit) if isinstance(cell, int | float) else cell
