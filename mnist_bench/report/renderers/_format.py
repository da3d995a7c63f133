"""How values are written for people."""

from collections.abc import Callable

from mnist_bench.report._table import Cell, Column, Quantity, Unit

ABSENT = "–"

FORMATS: dict[Unit, Callable[[float], str]] = {
    Unit.TEXT: str,
    Unit.COUNT: lambda value: f"{value:,.0f}",
    Unit.ORDINAL: lambda value: f"{value:.0f}",
    Unit.SHARE: lambda value: f"{value:.2%}",
    Unit.SHARE_DIFFERENCE: lambda value: f"{100 * value:+.2f} pp",
    Unit.SECONDS: lambda value: f"{value:,.2f} s",
    Unit.SECONDS_DIFFERENCE: lambda value: f"{value:+,.2f} s",
    Unit.NATS: lambda value: f"{value:.4f}",
    Unit.NATS_DIFFERENCE: lambda value: f"{value:+.4f}",
    Unit.LOGITS: lambda value: f"{value:.2f}",
    Unit.FINE_LOGITS: lambda value: f"{value:.6f}",
    Unit.TINY: lambda value: f"{value:.1e}",
    Unit.PROBABILITY: lambda value: f"{value:.3f}",
    Unit.BYTES: lambda value: f"{value:,.0f}",
    Unit.PER_SECOND: lambda value: f"{value:,.0f} /s",
    Unit.PER_SECOND_DIFFERENCE: lambda value: f"{value:+,.0f} /s",
    Unit.COUNT_DIFFERENCE: lambda value: f"{value:+,.0f}",
}


def raw(cell: Cell) -> str | float | None:
    """Return a cell's value without its unit."""
    return cell.value if isinstance(cell, Quantity) else cell


def unit(cell: Cell, column: Column) -> Unit:
    """Return the unit of a cell's value: its own, or its column's."""
    return cell.unit if isinstance(cell, Quantity) else column.unit


def text(cell: Cell, column: Column) -> str:
    """Write a cell as a person reads it."""
    value = raw(cell)
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else FORMATS[unit(cell, column)](value)
