"""What it costs to begin: importing, loading, the first call."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis import starting
from mnist_bench.core.bench_types import BenchRecord, Row, Sample
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 3
COLUMNS = [
    Column("Runtime"),
    Column("Threads", Unit.COUNT),
    Column("Import", Unit.DURATION),
    Column("Load", Unit.DURATION),
    Column("First call", Unit.DURATION),
    Column("Together", Unit.DURATION),
    Column("Peak memory", Unit.MEMORY),
    Column("File", Unit.MEMORY),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Median seconds of importing a runtime, loading a file and the first call, in a fresh process."""
    firsts = starting.cold_starts(record)
    lines = [_line(row, samples) for row, samples in firsts]
    if lines:
        batch = min(record.plan.batch_sizes)
        versions = {_engine(row): row.configuration.version for row, _ in firsts}
        notes = [
            f"Medians over the processes that began with this number of threads; file and compiler caches were warm. "
            f"The first call has batch {batch}. Peak memory is that of the whole process, including Python and the "
            f"test images, until its batches of {batch} are done.",
            "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        ]
        yield Table(f"Cold start of {record.name}", COLUMNS, sorted(lines, key=_together), notes=notes)


def _engine(row: Row) -> str:
    """Name what has a version: a runtime, on its host where that is not this Python."""
    own = row.configuration
    return f"{own.runtime} on {own.host}" if own.host else own.runtime


def _together(line: Sequence[Cell]) -> float:
    return float(str(line[5]))


def _line(row: Row, samples: Sequence[Sample]) -> list[Cell]:
    return [
        row.configuration.target,
        row.configuration.threads,
        *starting.parts(samples),
        starting.together(samples),
        starting.peak_memory(samples),
        row.size_bytes,
    ]
