"""What was exported, and what could not be."""

from collections.abc import Sequence

from mnist_bench.core.types import Artifact
from mnist_bench.report._table import Cell, Column, Table, Unit


def exports_table(run: str, outcomes: Sequence[tuple[str, str, object]]) -> Table:
    """Return a row for every format and precision: its file, or in words why there is none."""
    columns = [
        Column("Format"),
        Column("Precision"),
        Column("File"),
        Column("Bytes", Unit.BYTES),
        Column("Version"),
        Column("Took", Unit.SECONDS),
    ]
    rows: list[list[Cell]] = []
    for name, precision, done in outcomes:
        if isinstance(done, Artifact):
            rows.append([name, precision, done.name, done.size_bytes, done.version, done.export_s])
        else:
            rows.append([name, precision, str(done), None, None, None])
    return Table(f"Exported from {run}", columns, rows)
