"""What one needs to know of each target to choose one."""

from collections.abc import Iterator, Mapping, Sequence

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report._summary import SHOWN_BATCHES
from mnist_bench.report._table import Cell, Table, ViewOptions
from mnist_bench.report._targets import targets_table
from mnist_bench.report.page._blocks import Block, Sorted

ORDER = 8
TITLE = "Targets side by side"
ORDERS = {
    **{f"fastest at batch {batch} first": f"Batch {batch}, µs" for batch in SHOWN_BATCHES},
    "soonest started first": "Start",
    "least memory first": "Memory",
    "smallest installation first": "Installed",
    "by name": "Target",
}


def build(material: Material, _options: ViewOptions) -> Iterator[Block]:
    """A table per run that was verified, in the order that a reader chooses; what failed comes first in each."""
    found = {record.name: record for record in material.comparisons}
    for record in material.records:
        if record.name in found:
            table = targets_table(found[record.name], material.inference_of(record), material.fleet_of(record))
            yield Sorted(table, _orders(table))
        else:
            how = material.command("verify", record)
            yield Skipped(f"targets of {record.name}", "its present weights were never verified", how)


def _orders(table: Table) -> Mapping[str, Sequence[Sequence[Cell]]]:
    """Sort the rows by each column that somebody chooses by; where nothing was measured, by name alone."""
    names = [column.name for column in table.columns]
    places = {order: names.index(column) for order, column in ORDERS.items()}
    return {
        order: sorted(table.rows, key=lambda row: _key(row, place))
        for order, place in places.items()
        if any(row[place] is not None for row in table.rows)
    }


def _key(row: Sequence[Cell], place: int) -> tuple[bool, bool, Cell, str]:
    """What failed first; what was not measured last; then by value, and by name."""
    value = row[place]
    return (row[1] == "passed", value is None, 0 if value is None else value, str(row[0]))
