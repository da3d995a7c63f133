"""What is proved about every float32 runtime, and the images that the proof does not cover."""

from collections.abc import Iterator

from mnist_bench.analysis.parity import image_name, label_name
from mnist_bench.core.types import Certificate, ParityRecord, Uncertified
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 5
PREVIEW = 20


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table: each image without a certificate, and what the runtimes that are here say on it."""
    covered = record.certificate
    columns = [
        Column("Image"),
        Column("True"),
        Column("Predicted"),
        Column("Rival"),
        Column("Margin", Unit.FINE_LOGITS),
        Column("Bound", Unit.FINE_LOGITS),
        Column("Headroom", Unit.FINE_LOGITS),
        Column("fp32 runs that agree", Unit.TEXT),
    ]
    rows = [_row(record, entry) for entry in covered.uncertified]
    notes = [
        f"{covered.certified:,} of {covered.images:,} test images are certified: their margin is above the bound. On "
        f"these every IEEE float32 runtime, in whatever order it sums, agrees with the reference "
        "(docs/certificate.md).",
        _bounds(covered),
    ]
    if rows:
        yield Table("Images without a certificate", columns, rows, notes=notes, preview=PREVIEW)
    else:
        yield Table("Images without a certificate", [Column("Image")], [["none"]], notes=notes)


def _bounds(covered: Certificate) -> str:
    if covered.largest_logit_bound is None or covered.median_margin_bound is None:
        return "A layer of this network is not covered, so nothing bounds its logits: what was measured stands alone."
    return (
        f"Largest bound of a logit {covered.largest_logit_bound:.2g}, median bound of a margin "
        f"{covered.median_margin_bound:.2g}; every |Δlogit| measured must lie within its bound."
    )


def _row(record: ParityRecord, entry: Uncertified) -> list[Cell]:
    runs = [result for result in record.results if result.configuration.precision == "fp32" and result.rung > 1]
    differing = [
        result.configuration.target
        for result in runs
        if any(deviation.image == entry.image for deviation in result.deviations)
    ]
    return [
        image_name(record, entry.image),
        label_name(record, entry.image),
        record.classes[entry.prediction],
        record.classes[entry.rival],
        entry.margin,
        entry.bound,
        None if entry.bound is None else entry.margin - entry.bound,
        f"{len(runs) - len(differing)} of {len(runs)}" + "".join(f", not {name}" for name in dict.fromkeys(differing)),
    ]
