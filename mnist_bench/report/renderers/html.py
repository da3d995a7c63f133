"""Tables as a piece of HTML, for a notebook or another page: no scripts, no classes, nothing from outside."""

from collections.abc import Sequence
from html import escape

from mnist_bench.core import text as words
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit
from mnist_bench.report.renderers._format import text

TABLE = "border-collapse: collapse; margin: 0 0 0.3em 0; font-variant-numeric: tabular-nums"
CAPTION = "caption-side: top; text-align: left; font-weight: bold; white-space: nowrap; padding: 0.6em 0 0.3em 0"
CELL = "padding: 0.2em 0.9em; vertical-align: top; text-align: "
RULE = "border-bottom: 1px solid currentColor; "
NOTE = "margin: 0 0 0.3em 0; max-width: 60em; opacity: 0.75; font-size: 90%"
"""Colours are those of whatever it is set into, light or dark."""


def render(contents: Sequence[Table], _color: bool = False) -> str:
    """Write each table with its notes below; rows beyond its preview are folded."""
    return "".join(_section(content) for content in contents)


def _section(content: Table) -> str:
    shown = content.preview if content.preview is not None else len(content.rows)
    parts = [_table(content, content.rows[:shown], content.title)]
    if more := content.rows[shown:]:
        parts.append(f"<details><summary>{len(more):,} more rows</summary>{_table(content, more, '')}</details>\n")
    parts += [f'<p style="{NOTE}">{escaped(note)}</p>\n' for note in content.notes]
    return f"<section>\n{''.join(parts)}</section>\n"


def _table(content: Table, rows: Sequence[Sequence[Cell]], title: str) -> str:
    sides = [_side(content, place) for place in range(len(content.columns))]
    caption = f'<caption style="{CAPTION}">{escaped(title)}</caption>\n' if title else ""
    heads = "".join(
        f'<th scope="col" style="{RULE}{CELL}{side}">{escaped(column.name)}</th>'
        for column, side in zip(content.columns, sides, strict=True)
    )
    lines = "".join(f"<tr>{_cells(row, content.columns, sides)}</tr>\n" for row in rows)
    return f'<table style="{TABLE}">\n{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>\n'


def _cells(row: Sequence[Cell], columns: Sequence[Column], sides: Sequence[str]) -> str:
    return "".join(
        f'<td style="{CELL}{side}">{escaped(text(cell, column))}</td>'
        for cell, column, side in zip(row, columns, sides, strict=True)
    )


def _side(content: Table, place: int) -> str:
    """Set a column flush right that holds numbers, if only in some rows."""
    numbers = any(isinstance(row[place], Quantity) for row in content.rows)
    return "left" if content.columns[place].unit is Unit.TEXT and not numbers else "right"


def escaped(value: str) -> str:
    """Return text in which nothing is markup, nor steers the screen."""
    return escape(words.clean(value)).replace("\n", "<br>")
