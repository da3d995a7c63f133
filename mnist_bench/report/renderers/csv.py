"""Tables as CSV with raw values; several are set apart by a blank line, each below a line with its title."""

import csv
import io
from collections.abc import Sequence

from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit
from mnist_bench.report.renderers._format import raw


def render(contents: Sequence[Table], _color: bool = False) -> str:
    """Write the tables; a single one is plain CSV with nothing before its heading."""
    sections = [_section(content) for content in contents]
    if len(sections) == 1:
        return sections[0]
    return "\n".join(f"# {content.title}\n{section}" for content, section in zip(contents, sections, strict=True))


def _section(content: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    mixed = any(isinstance(cell, Quantity) for row in content.rows for cell in row)
    writer.writerow([*(_heading(column) for column in content.columns), *(["Unit"] if mixed else [])])
    writer.writerows([*(_value(cell) for cell in row), *([_row_unit(row)] if mixed else [])] for row in content.rows)
    return buffer.getvalue()


def _heading(column: Column) -> str:
    return _inert(
        column.name if column.unit in (Unit.TEXT, Unit.COUNT, Unit.ORDINAL) else f"{column.name} [{column.unit.value}]"
    )


def _row_unit(row: Sequence[Cell]) -> str:
    """Return the unit of a row whose cells carry it themselves."""
    return next((cell.unit.value for cell in row if isinstance(cell, Quantity)), Unit.TEXT.value)


def _value(cell: Cell) -> str | float | None:
    value = raw(cell)
    return _inert(value) if isinstance(value, str) else value


def _inert(words: str) -> str:
    """Return words that a spreadsheet does not run: it would, if they began like a formula."""
    return f"'{words}" if words.lstrip()[:1] in tuple("=+-@") else words
