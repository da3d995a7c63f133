"""Tables for a terminal."""

import io
import shutil
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mnist_bench.report._table import Table, Unit
from mnist_bench.report.renderers._format import text

WIDE = 1_000


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
    for place, column in enumerate(content.columns):
        numeric = column.unit is not Unit.TEXT
        table.add_column(Text(column.name), justify="right" if numeric else "left", no_wrap=numeric or place == 0)
    for row in content.rows[: content.preview]:
        table.add_row(*(Text(text(cell, column)) for cell, column in zip(row, content.columns, strict=True)))
    return table


def _notes(content: Table) -> list[str]:
    hidden = len(content.rows) - content.preview if content.preview else 0
    return [*content.notes, *([f"{hidden} more rows: report --format csv shows all"] if hidden > 0 else [])]
