"""What it costs to begin: importing, loading, the first call."""

from collections.abc import Iterator, Sequence
from statistics import median

from mnist_bench.core.bench_types import TRAINING_FORMAT, BenchRecord, Row, Sample
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 3
COLUMNS = [
    Column("Runtime"),
    Column("Import", Unit.DURATION),
    Column("Load", Unit.DURATION),
    Column("First call", Unit.DURATION),
    Column("Together", Unit.DURATION),
    Column("Peak memory", Unit.MEMORY),
    Column("File", Unit.MEMORY),
]


def build(record: BenchRecord, _options: ViewOptions) -> Iterator[Table]:
    """Median seconds of importing a runtime, loading a file and the first call, in a fresh process."""
    firsts: dict[str, tuple[Row, list[Sample]]] = {}
    for row in record.rows:
        cold = [sample for sample in row.samples if sample.import_s is not None]
        if cold and row.configuration.format != TRAINING_FORMAT:
            name = f"{row.side}: {row.configuration.target}" if row.side else row.configuration.target
            firsts.setdefault(name, (row, []))[1].extend(cold)
    lines = [_line(name, row, samples) for name, (row, samples) in firsts.items()]
    if lines:
        batch = min(record.plan.batch_sizes)
        versions = {row.configuration.runtime: row.configuration.version for row, _ in firsts.values()}
        notes = [
            f"Medians over the processes; the files were in the page cache. The first call is of batch {batch}; peak "
            f"memory is that of the whole process until the batches of {batch} are done, with Python and test images.",
            "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        ]
        yield Table(f"Cold start of {record.name}", COLUMNS, sorted(lines, key=_together), notes=notes)


def _together(line: Sequence[Cell]) -> float:
    return float(str(line[4]))


def _line(name: str, row: Row, samples: Sequence[Sample]) -> list[Cell]:
    parts = [(sample.import_s or 0.0, sample.load_s or 0.0, sample.first_call_s) for sample in samples]
    columns = [median(column) for column in zip(*parts, strict=True)]
    peaks = [sample.peak_resident_bytes for sample in samples if sample.peak_resident_bytes]
    return [name, *columns, median(map(sum, parts)), max(peaks, default=None), row.size_bytes]
