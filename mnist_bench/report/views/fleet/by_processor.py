"""What every processor answers, beside the reference and beside this machine's own."""

from collections.abc import Iterator, Mapping

from mnist_bench.analysis.processors import asked, by_file, certified, flips, lost, native_flips, same_bits
from mnist_bench.core.kinds import LARGEST_INT16
from mnist_bench.core.types import FleetRecord, ParityResult
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 1
HERE = "this machine"


def build(record: FleetRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table with a row per runtime, precision, processor and batch size; and the failures."""
    columns = [
        Column("Runtime"),
        Column("Processor"),
        Column("Verdict"),
        Column("Images", Unit.COUNT),
        Column("Flips", Unit.COUNT),
        Column("Certified"),
        Column("Bits as here"),
        Column("Flips from here", Unit.COUNT),
        Column("Largest |Δ| from here", Unit.TINY),
        Column("Largest |Δ|", Unit.TINY),
    ]
    rows: list[list[Cell]] = []
    for results in by_file(record).values():
        proved = certified(record, results[0].configuration)
        rows += [_row(record, one, proved) for one in results]
    yield Table(f"{record.name} by processor", columns, rows, notes=list(_notes(record)))
    failures = [(one.configuration.target, why) for one in record.results for why in one.failures]
    if failures:
        yield Table("Failures by processor", [Column("Target"), Column("What failed")], failures)


def _row(record: FleetRecord, result: ParityResult, certain: Mapping[int, int]) -> list[Cell]:
    own, proved = result.configuration, certain.keys() & set(asked(record, result))
    beside = result.native
    bits = same_bits(result)
    return [
        f"{own.runtime} {own.precision}",
        processor_name(result),
        "FAILED" if result.failures else "passed",
        len(asked(record, result)),
        len(flips(record, result)),
        f"{len(proved) - len(lost(record, result, certain)):,} of {len(proved):,}" if proved else None,
        None if bits is None or beside is None else "yes" if bits else f"{beside.same_bits:,} of {beside.images:,}",
        len(native_flips(record, result)) if beside else None,
        beside.largest_difference if beside else None,
        result.largest_difference,
    ]


def processor_name(result: ParityResult) -> str:
    """Name the processor of a result, with its batch size where that is not the usual one."""
    return result.configuration.processor or HERE


def _notes(record: FleetRecord) -> Iterator[str]:
    own = ", ".join(record.environment.instructions) or record.environment.cpu_model
    yield (
        f"Flips: test images predicted differently from the float64 reference. From here: differently from this "
        f"machine's own processor ({own}). Certified: of the test images whose prediction is proved for every "
        f"processor, those predicted accordingly."
    )
    yield "An emulated processor is never timed: emulation says nothing of speed."
    yield from sampling(record)
    if any(not found.fits_16_bits for found in record.saturation.values()):
        yield (
            f"An int8 file here can saturate: with AVX2 and without VNNI the sum of two products stops at "
            f"{LARGEST_INT16:,}, and elsewhere it does not."
        )


def sampling(record: FleetRecord) -> Iterator[str]:
    """Say which images were asked where that was not all."""
    parts = [one for one in record.results if one.sample]
    if not parts:
        yield f"All were asked about all {len(record.labels):,} test images and {len(record.edges)} edge images."
        return
    sizes = dict.fromkeys(len(one.sample.images) for one in parts if one.sample)
    seeds = dict.fromkeys(one.sample.seed for one in parts if one.sample)
    fewer = ", ".join(f"{size:,}" for size in sizes)
    yield (
        f"Where fewer than {len(record.labels):,} images were asked ({fewer}), half are those with the smallest "
        f"margins, where a flip is most likely, and half are drawn (seed {', '.join(map(str, seeds))})."
    )
