"""How values are written for people."""

from collections.abc import Callable

from mnist_bench.report._table import Cell, Column, Quantity, Unit

ABSENT = "–"
SMALLEST_P = 0.001  # no probability is written as 0
SMALLEST_SHOWN = 1e-4  # of a class, in percent with two digits

SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def _duration(seconds: float) -> str:
    """Write a duration with three digits that matter, in the unit that fits."""
    scale, name = next((found for found in SCALES if abs(seconds) >= found[0] * 0.9995), SCALES[-1])
    value = seconds / scale
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0  # noqa: PLR2004 three digits in all
    return f"{value:.{digits}f} {name}"


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0  # noqa: PLR2004 three digits at least
    return f"{value:,.{digits}f}"


def certainty(probability: float) -> str:
    """Write the probability of a class; what would round to 0% or 100% is neither."""
    if probability < SMALLEST_SHOWN:
        return "< 0.01%"
    return "> 99.99%" if probability > 1 - SMALLEST_SHOWN else f"{probability:.2%}"


FORMATS: dict[Unit, Callable[[float], str]] = {
    Unit.TEXT: str,
    Unit.COUNT: lambda value: f"{value:,.0f}",
    Unit.ORDINAL: lambda value: f"{value:.0f}",
    Unit.SHARE: lambda value: f"{value:.2%}",
    Unit.SHARE_DIFFERENCE: lambda value: f"{100 * value:+.2f} pp",
    Unit.SHARE_WIDTH: lambda value: f"{100 * value:.3f} pp",
    Unit.SECONDS: lambda value: f"{value:,.2f} s",
    Unit.MICROSECONDS: _microseconds,
    Unit.DURATION: _duration,
    Unit.SECONDS_DIFFERENCE: lambda value: f"{value:+,.2f} s",
    Unit.EPOCH: lambda value: f"{value:g}",
    Unit.NATS: lambda value: f"{value:.4f}",
    Unit.NATS_DIFFERENCE: lambda value: f"{value:+.4f}",
    Unit.LOGITS: lambda value: f"{value:.2f}",
    Unit.FINE_LOGITS: lambda value: f"{value:.6f}",
    Unit.TINY: lambda value: f"{value:.1e}",
    Unit.PROBABILITY: lambda value: f"{value:.3f}" if value >= SMALLEST_P else f"below {SMALLEST_P:g}",
    Unit.CERTAINTY: certainty,
    Unit.BYTES: lambda value: f"{value:,.0f}",
    Unit.MEMORY: lambda value: f"{value / 1e6:,.1f} MB" if value < 1e7 else f"{value / 1e6:,.0f} MB",  # noqa: PLR2004
    Unit.GIGA_PER_SECOND: lambda value: f"{value / 1e9:,.1f} G",
    Unit.RATIO: lambda value: f"{value:.3f}",
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
