"""What machine this is, as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from mnist_bench.analysis.timing import UNSTEADY
from mnist_bench.core.bench_types import Conditions, Limits
from mnist_bench.core.types import Environment
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit
from mnist_bench.report.views.bench.limits import limits_table

UNITS = {"memory_bytes": Unit.MEMORY, "busy_share": Unit.SHARE, "steal_share": Unit.SHARE, "cores": Unit.COUNT}


def environment_tables(found: Environment, conditions: Conditions, limits: Sequence[Limits]) -> Iterator[Table]:
    """Make a table of everything that is recorded of a machine, and one of its limits."""
    lines = [line for part in (found, conditions) for line in facts_of(part)]
    yield Table("This machine", [Column("What"), Column("Found")], lines)
    busy = conditions.busy_share + (conditions.steal_share or 0.0)
    notes = [f"Others took {busy:.0%} of the cores: these limits are too low."] if busy > UNSTEADY else []
    yield replace(limits_table(limits), notes=notes)


def facts_of(part: msgspec.Struct) -> Iterator[list[Cell]]:
    """Yield a line per fact: its name and its value."""
    for field, value in msgspec.structs.asdict(part).items():
        name = field.replace("_", " ")
        if isinstance(value, dict):
            yield from ([key, str(entry)] for key, entry in value.items())
        elif field == "frequency_hz" and value:
            yield ["frequency", f"{value / 1e9:.2f} GHz"]
        elif field in UNITS:
            unit = UNITS[field]
            yield [name.removesuffix(" bytes"), Quantity(value, unit)]
        else:
            yield [name, None if value is None else _text(value)]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
