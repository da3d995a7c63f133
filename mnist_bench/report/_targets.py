"""What one needs to know of each target to choose one: a row a target."""

from collections.abc import Iterator, Mapping, Sequence

from mnist_bench.analysis import starting
from mnist_bench.analysis.parity import by_target, failed, flipped, largest
from mnist_bench.analysis.processors import certified, failed_on, file_of, lost
from mnist_bench.analysis.timing import summarise, timed_calls
from mnist_bench.core.bench_types import InferenceBenchRecord, Row, Sample
from mnist_bench.core.types import FleetRecord, ParityRecord, ParityResult
from mnist_bench.report._summary import SHOWN_BATCHES
from mnist_bench.report._table import Cell, Column, Table, Unit

COMPARED = [
    Column("Target"),
    Column("Verdict"),
    Column("Flips", Unit.COUNT),
    Column("Certified"),
    Column("Largest |Δ|", Unit.TINY),
]
NO_BREAK = "\N{NO-BREAK SPACE}"
MEASURED = [
    *(Column(f"Batch {batch}, µs", Unit.MICROSECONDS) for batch in SHOWN_BATCHES),
    Column("Start", Unit.DURATION),
    Column("Memory", Unit.MEMORY),
    Column("File", Unit.MEMORY),
    Column("Installed", Unit.MEMORY),
]
NOTES = [
    "Verdict, flips and |Δ|: the worst of all configurations here; what failed on another processor says so. "
    "Certified: of the test images whose prediction is proved, for float32 or for that very quantised file, those "
    "predicted accordingly.",
    "Latency: the lowest median of a call, at any number of threads. Start: importing, loading and the first call, "
    "medians in a fresh process. Memory: the peak of a process until its smallest batches were done, including Python "
    "and the test images. "
    "Installed: its libraries with all their dependencies, as installed here (PyTorch with its GPU libraries), "
    "without Python, Node, the browser or a compiler. For the C source, start includes compiling it.",
]


def targets_table(
    compared: ParityRecord, measured: InferenceBenchRecord | None, fleet: FleetRecord | None = None
) -> Table:
    """Make the table of a run: what was compared of its targets, and measured where it was benchmarked."""
    wrong = failed_on(fleet) if fleet else {}
    found = dict(_measured(measured)) if measured else {}
    lines = [
        [*_compared(compared, name, results, wrong), *found.get(name, [None] * len(MEASURED))]
        for name, results in by_target(compared).items()
    ]
    return Table(f"Targets of {compared.name}", [*COMPARED, *MEASURED], lines, notes=NOTES)


def _compared(
    record: ParityRecord, name: str, results: Sequence[ParityResult], wrong: Mapping[tuple[str, str], Sequence[str]]
) -> list[Cell]:
    places = wrong.get(file_of(results[0]), ())
    proved = certified(record, results[0].configuration)
    answered = [result for result in results if result.largest_difference is not None]
    broken = max((len(lost(record, result, proved)) for result in answered), default=len(proved))
    return [
        name,
        "FAILED" if failed(results) else f"FAILED on {', '.join(places)}" if places else "passed",
        flipped(record, results),
        f"{len(proved) - broken:,} of {len(proved):,}".replace(" ", NO_BREAK) if proved else None,
        largest(results, "largest_difference"),
    ]


def _measured(record: InferenceBenchRecord) -> Iterator[tuple[str, list[Cell]]]:
    """Yield each target that was timed, with its cells."""
    rows: dict[str, list[Row]] = {}
    for row in timed_calls(record):
        rows.setdefault(row.configuration.target, []).append(row)
    cold: dict[str, list[list[Sample]]] = {}
    for row, samples in starting.cold_starts(record):
        cold.setdefault(row.configuration.target, []).append(samples)
    for name, own in rows.items():
        begun = cold.get(name, [])
        yield (
            name,
            [
                *(_latency(record, own, batch) for batch in SHOWN_BATCHES),
                min(map(starting.together, begun), default=None),
                max((peak for samples in begun if (peak := starting.peak_memory(samples))), default=None),
                own[0].size_bytes,
                own[0].installed_bytes,
            ],
        )


def _latency(record: InferenceBenchRecord, rows: Sequence[Row], batch: int) -> float | None:
    own = [row for row in rows if row.configuration.batch_size == batch]
    return min((summarise(record, row).p50 for row in own), default=None)
