"""What is proved about quantised files on every processor, and which flips are the quantisation's."""

from collections.abc import Iterator

from mnist_bench.analysis.parity import by_target, changed_by_quantisation, open_to_processors, quantised_name
from mnist_bench.analysis.processors import certified, lost
from mnist_bench.core.types import ParityRecord, ParityResult, QuantisedCertificate
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 6
PREVIEW = 10


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """A row a quantised file, a row a target that opened one, and the pairs of weights that saturate."""
    if not record.quantised:
        return
    yield _files(record)
    yield _flips(record)
    for found in record.quantised:
        if found.saturating:
            yield _pairs(found)


def _files(record: ParityRecord) -> Table:
    columns = [
        Column("Quantised file"),
        Column("Certified", Unit.COUNT),
        Column("alone", Unit.COUNT),
        Column("Agree", Unit.COUNT),
        Column("Differ", Unit.COUNT),
        Column("Open", Unit.COUNT),
        Column("Saturate", Unit.COUNT),
    ]
    notes = [
        "Certified: test images on which every processor makes the same prediction, whether it sums this file's "
        "integers exactly, with pairs that saturate, or in float32 in any order, however it scales and rounds "
        "(docs/certificate.md). Alone: asked one at a time, which matters where the scale depends on the batch.",
        "Agree, differ: images proved to be predicted as by the float reference, or not as by it; the rest is open. "
        "Saturate: images on which kernels that add two products in 16 bits compute other sums.",
    ]
    return Table(
        "Quantised files on every processor", columns, [_file(record, one) for one in record.quantised], notes=notes
    )


def _file(record: ParityRecord, found: QuantisedCertificate) -> list[Cell]:
    changed = len(changed_by_quantisation(record, found))
    return [
        quantised_name(found),
        found.certified,
        found.images - found.uncertified_alone,
        found.agreeing,
        changed,
        found.images - found.agreeing - changed,
        len(found.saturating),
    ]


def _flips(record: ParityRecord) -> Table:
    columns = [
        Column("Target"),
        Column("Flips", Unit.COUNT),
        Column("the same everywhere", Unit.COUNT),
        Column("may differ by processor", Unit.COUNT),
        Column("against the proof", Unit.COUNT),
    ]
    rows = [_target(record, name, results) for name, results in by_target(record).items()]
    note = (
        "Flips: test images predicted differently from the float reference, in any configuration. If such an image is "
        "certified, quantisation flips it, on every processor. Against the proof: certified images that are not "
        "predicted as proved; a target with any of these does not compute what the file says."
    )
    return Table("Whose the flips are", columns, [row for row in rows if row], notes=[note])


def _target(record: ParityRecord, name: str, results: list[ParityResult]) -> list[Cell]:
    open_images = open_to_processors(record, results)
    if open_images is None:
        return []
    tests = len(record.labels)
    images = {one.image for result in results for one in result.deviations if one.image < tests}
    proved = certified(record, results[0].configuration)
    answered = [result for result in results if result.largest_difference is not None]
    broken = {image for result in answered for image in lost(record, result, proved)}
    return [name, len(images), len(images - open_images - broken), len(images & open_images), len(broken)]


def _pairs(found: QuantisedCertificate) -> Table:
    columns = [Column("Layer", Unit.COUNT), Column("Unit", Unit.COUNT), Column("Inputs", Unit.TEXT)]
    rows: list[list[Cell]] = [
        [one.layer + 1, one.unit, f"{2 * one.pair} and {2 * one.pair + 1}"] for one in found.pairs
    ]
    note = (
        f"{len(found.saturating):,} test images bring {found.pairs_reached:,} pairs of neighbouring weights beyond 16 "
        f"bits; the first of them."
    )
    title = f"Pairs of weights of {quantised_name(found)} that saturate"
    return Table(title, columns, rows, notes=[note], preview=PREVIEW)
