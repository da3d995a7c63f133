"""Tables for a terminal."""

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mnist_bench.report._table import Table, Unit
from mnist_bench.report.renderers._format import text

MOST_ROWS, FEWEST_ROWS = 2_000, 20
"""Where all tables together have more rows, each shows a share of so many, and so many at least."""

TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$", re.MULTILINE)
"""Blanks at the end of a line: a terminal that is one column too narrow for them would show an empty line below."""

WIDEST_NAME = 40
"""A longer name in the first column is wrapped: it would leave the others no room."""

WIDE = 1_000  # what a table needs at least is measured without the width of the console


def render(contents: Sequence[Table], color: bool) -> str:
    """Draw the tables one below the other; long ones are cut after their preview, and say so."""
    width = shutil.get_terminal_size((100, 24)).columns
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=color, no_color=not color, highlight=False)
    rows = sum(len(content.rows) for content in contents)
    share = rows if rows <= MOST_ROWS else max(FEWEST_ROWS, MOST_ROWS // 2 // len(contents))
    for content in contents:
        preview = min(content.preview or share, share)
        table = _draw(content, preview)
        # A table that is too wide runs over the edge of the screen: a number that is cut would be another number.
        console.width = max(width, Measurement.get(console, console.options.update(width=WIDE), table).minimum)
        console.print(table)
        console.width = width
        for note in _notes(content, preview):
            console.print(Padding(Text(note, style="dim"), (0, 0, 0, 1)))
        console.print()
    return TRAILING.sub(lambda found: found[0].replace(" ", ""), buffer.getvalue())


def drawn(content: Table) -> Iterator[RenderableType]:
    """Yield a table, cut after its preview, and its notes, for a console of rich's own."""
    preview = content.preview or len(content.rows)
    yield Text(content.title, style="bold")
    yield _Fitting(content, preview)
    yield from (Padding(Text(note, style="dim"), (0, 0, 0, 1)) for note in _notes(content, preview))
    yield Text()


@dataclass(frozen=True)
class _Fitting:
    """A table where it fits; else a line for every cell: rich would drop columns."""

    content: Table
    preview: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _draw(self.content, self.preview)
        table.title = None
        if Measurement.get(console, options.update(width=WIDE), table).minimum <= options.max_width:
            yield table
            return
        for row in self.content.rows[: self.preview]:
            for cell, column in zip(row, self.content.columns, strict=True):
                yield Text.assemble((f" {column.name}: ", "dim"), text(cell, column))
            yield Text()


def _draw(content: Table, preview: int) -> RichTable:
    table = RichTable(
        title=Text(content.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    if not content.rows:
        table.min_width = cell_len(content.title)  # else the title is wrapped to the columns' few
    rows = [
        [text(cell, column) for cell, column in zip(row, content.columns, strict=True)]
        for row in content.rows[:preview]
    ]
    for place, column in enumerate(content.columns):
        numeric = column.unit is not Unit.TEXT
        widest = max(map(cell_len, (column.name, *(row[place] for row in rows))))
        whole = numeric or (place == 0 and widest <= WIDEST_NAME)
        width = widest if whole else None
        justify: Literal["left", "right"] = "right" if numeric else "left"
        # A word that is too long is broken, and not cut: it may be part of a command.
        table.add_column(Text(column.name), justify=justify, no_wrap=whole, min_width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _notes(content: Table, preview: int) -> list[str]:
    hidden = len(content.rows) - preview
    return [*content.notes, *([f"{hidden:,} more rows: report --format csv shows all"] if hidden > 0 else [])]
