"""The neutral table: raw values with their units; every rounding is a renderer's."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mnist_bench.core import text
from mnist_bench.core.kinds import DEFAULT_CONVERGENCE_AT, DEFAULT_OUT


class Unit(Enum):
    """What a number means, and so how a renderer shows it; the value is the unit's name in CSV and JSON."""

    TEXT = "text"
    COUNT = "count"
    ORDINAL = "ordinal"  # an epoch or an index: never grouped by thousands
    SHARE = "share"  # in [0, 1], shown as a percentage
    SHARE_DIFFERENCE = "share difference"  # of two shares, shown in percentage points with its sign
    SHARE_WIDTH = "share, a width"  # a standard deviation of shares, shown in percentage points
    SECONDS = "s"
    MICROSECONDS = "s, microseconds on a screen"
    DURATION = "s, of any size"  # shown in the unit that fits, ns to s
    SECONDS_DIFFERENCE = "s difference"
    EPOCH = "epoch, maybe between two"  # a median of epochs
    NATS = "nat"  # a cross-entropy loss
    NATS_DIFFERENCE = "nat difference"
    LOGITS = "logit"  # a difference of logits
    FINE_LOGITS = "logit, fine"  # where the digits after the point matter
    TINY = "logit, tiny"  # differences near rounding
    PROBABILITY = "probability"
    CERTAINTY = "probability, percent on a screen"  # of a class: neither 0 nor 1 is ever reached
    BYTES = "byte"
    MEMORY = "byte, MB on a screen"  # shown in MB
    GIGA_PER_SECOND = "1/s, 10^9 on a screen"
    RATIO = "ratio"
    PER_SECOND = "1/s"
    PER_SECOND_DIFFERENCE = "1/s difference"
    COUNT_DIFFERENCE = "count difference"


@dataclass(frozen=True)
class Quantity:
    """A value with a unit of its own, for tables whose rows differ in unit."""

    value: float | None
    unit: Unit


Cell = str | int | float | Quantity | None


@dataclass(frozen=True)
class Column:
    """A column's heading and the unit of its values."""

    name: str
    unit: Unit = Unit.TEXT


@dataclass(frozen=True)
class Table:
    """A table: None is an absent value, `notes` are sentences below it, `preview` rows suffice for a screen."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    preview: int | None = None


def cleaned(table: Table) -> Table:
    """Return a table whose words are safe to show: they may be those of anybody's model or record."""
    return Table(
        text.clean(table.title),
        [Column(text.line(column.name), column.unit) for column in table.columns],
        [[text.clean(cell) if isinstance(cell, str) else cell for cell in row] for row in table.rows],
        [text.clean(note) for note in table.notes],
        table.preview,
    )


@dataclass(frozen=True)
class ViewOptions:
    """What a reader can choose: the accuracy that counts as converged, as a share; and where the runs are."""

    convergence_at: float = DEFAULT_CONVERGENCE_AT
    out: Path = DEFAULT_OUT
