"""What was exported, and what could not be."""

from collections.abc import Sequence

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Artifact
from mnist_bench.report._lines import many
from mnist_bench.report._table import Cell, Column, Table, Unit

NAMED = 4


def exports_line(run: str, outcomes: Sequence[tuple[str, str, object]]) -> str:
    """Say which files were written, where they are few, and how many were not."""
    written = [done.name for *_, done in outcomes if isinstance(done, Artifact)]
    skipped = sum(isinstance(done, Skipped) for *_, done in outcomes)
    failed = len(outcomes) - len(written) - skipped
    words = f"{run}: {many(len(written), 'file')} exported"
    words += f" ({', '.join(written)})" if 0 < len(written) <= NAMED else ""
    return words + (f", {skipped} skipped" if skipped else "") + (f", {failed} failed" if failed else "")


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
