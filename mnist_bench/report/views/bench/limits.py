"""What this machine can do at best."""

from collections.abc import Iterator, Sequence

from mnist_bench.core.bench_types import BenchRecord, Limits
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 6


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """The best rates of the probes before and after the blocks."""
    if record.limits and not any(row.side for row in record.rows):
        yield limits_table(record.limits)


def limits_table(limits: Sequence[Limits]) -> Table:
    """Return a row per rate and a column per number of threads, the best of all probes."""
    threads = sorted({found.threads for found in limits})
    rates: dict[str, dict[int, tuple[float, Unit]]] = {}
    for found in limits:
        for name, value, unit in _rates(found):
            best = rates.setdefault(name, {}).get(found.threads)
            if best is None or (value < best[0] if unit is Unit.DURATION else value > best[0]):
                rates[name][found.threads] = (value, unit)
    heads = [f"{count} thread{'s' if count > 1 else ''}" for count in threads]
    lines: list[list[Cell]] = [
        [name, *(Quantity(*found[count]) if count in found else None for count in threads)]
        for name, found in rates.items()
    ]
    columns = [Column("Limit"), *(Column(head, Unit.GIGA_PER_SECOND) for head in heads)]
    return Table(f"The limits of this machine on {limits[0].device}", columns, lines)


def _rates(found: Limits) -> Iterator[tuple[str, float, Unit]]:
    for rate in found.matrix_rates:
        yield f"{rate.precision} products, {rate.purpose}, FLOP/s", rate.flop_per_s, Unit.GIGA_PER_SECOND
    for memory in found.bandwidths:
        size = f"{memory.size_bytes / 2**20:g} MiB"
        yield f"{memory.access}, {size}, byte/s", memory.bytes_per_s, Unit.GIGA_PER_SECOND
    yield "reading the clock", found.timer_s, Unit.DURATION
