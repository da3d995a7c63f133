"""Each run in a row: the few numbers that a reader looks for first."""

from mnist_bench.analysis.comparison import takes_part
from mnist_bench.analysis.learning import first_epoch_at
from mnist_bench.analysis.parity import by_target, flipped
from mnist_bench.analysis.timing import summarise, timed_calls
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.types import ParityRecord, Record
from mnist_bench.report._material import Material
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions
from mnist_bench.report.views.training.overfitting import true_gap

SHOWN_BATCHES = (1, 128)


def headline(material: Material, options: ViewOptions) -> Table:
    """Return a row per run; what was never verified or never benchmarked says so."""
    columns = [
        Column("Run"),
        Column("Test accuracy", Unit.SHARE),
        Column("Errors", Unit.COUNT),
        Column("True gap", Unit.SHARE_DIFFERENCE),
        Column(f"First epoch at {100 * options.convergence_at:g}%", Unit.ORDINAL),
        Column("Runtimes"),
        Column("Certified"),
        *(Column(f"Lowest median, batch {batch}") for batch in SHOWN_BATCHES),
    ]
    return Table("Summary", columns, [_row(material, record, options) for record in material.records])


def _row(material: Material, record: Record, options: ViewOptions) -> list[Cell]:
    final = record.final
    compared = next((one for one in material.comparisons if one.name == record.name), None)
    measured = material.inference_of(record)
    return [
        record.name,
        final.test.accuracy if final else None,
        final.test.images - final.test.correct if final else None,
        true_gap(record),
        first_epoch_at(record, options.convergence_at),
        _verdict(compared),
        f"{compared.certificate.certified:,} of {compared.certificate.images:,}" if compared else "not verified",
        *(_lowest_median(measured, batch) for batch in SHOWN_BATCHES),
    ]


def _verdict(compared: ParityRecord | None) -> str:
    if compared is None:
        return "not verified"
    targets = by_target(compared)
    failed = [name for name, results in targets.items() if any(result.failures for result in results)]
    failed += [entry.target for entry in compared.unreachable]
    if failed:
        return f"FAILED: {', '.join(failed)}"
    flips = sum(flipped(compared, results) for results in targets.values())
    return f"{len(targets)} passed, {flips} flip{'' if flips == 1 else 's'}"


def _lowest_median(measured: InferenceBenchRecord | None, batch: int) -> str:
    """Name the row with the lowest median, whatever its threads, and its interval in µs."""
    if measured is None:
        return "not benchmarked"
    rows = [row for row in timed_calls(measured) if row.configuration.batch_size == batch]
    rows = [row for row in rows if takes_part(measured, row)]
    if not rows:
        return "not benchmarked"
    best = min(rows, key=lambda row: summarise(measured, row).p50)
    found, own = summarise(measured, best), best.configuration
    ends = f" ({found.interval.low * 1e6:,.1f}–{found.interval.high * 1e6:,.1f})" if found.interval else ""
    return f"{own.target}, {own.threads} thread{'s' if own.threads > 1 else ''}: {found.p50 * 1e6:,.1f}{ends} µs"
