"""Tables for a terminal."""

import io
import shutil
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mnist_bench.report._table import Table, Unit
from mnist_bench.report.renderers._format import text

WIDE = 1_000  # what a table needs at least is measured without the width of the console


def render(contents: Sequence[Table], color: bool) -> str:
    """Draw the tables one below the other; long ones are cut after their preview, and say so."""
    width = shutil.get_terminal_size((100, 24)).columns
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=color, no_color=not color, highlight=False)
    for content in contents:
        table = _draw(content)
        # A table that is too wide runs over the edge of the screen: a number that is cut would be another number.
        console.width = max(width, Measurement.get(console, console.options.update(width=WIDE), table).minimum)
        console.print(table)
        console.width = width
        for note in _notes(content):
            console.print(Padding(Text(note, style="dim"), (0, 0, 0, 1)))
        console.print()
    return buffer.getvalue()


def _draw(content: Table) -> RichTable:
    table = RichTable(
        title=Text(content.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    rows = [
        [text(cell, column) for cell, column in zip(row, content.columns, strict=True)]
        for row in content.rows[: content.preview]
    ]
    for place, column in enumerate(content.columns):
        numeric = column.unit is not Unit.TEXT
        whole = numeric or place == 0
        width = max(map(cell_len, (column.name, *(row[place] for row in rows)))) if whole else None
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(column.name), justify=justify, no_wrap=whole, min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _notes(content: Table) -> list[str]:
    hidden = len(content.rows) - content.preview if content.preview else 0
    return [*content.notes, *([f"{hidden} more rows: report --format csv shows all"] if hidden > 0 else [])]
