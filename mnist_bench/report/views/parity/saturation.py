"""Whether int8 files can saturate, and on which processors that shows."""

from collections.abc import Iterator

from mnist_bench.core.kinds import LARGEST_INT16
from mnist_bench.core.types import ParityRecord, Saturation
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 4
WHERE = "x86 processors with AVX2 or AVX-512 and without VNNI (Intel's Haswell to Skylake, AMD's Zen to Zen 3)"


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table, a row per target that computes with int8; none where there is none."""
    if not record.saturation:
        return
    columns = [
        Column("int8 products"),
        Column("Largest sum of two", Unit.COUNT),
        Column("Pairs beyond", Unit.COUNT),
        Column("of", Unit.COUNT),
        Column("Verdict"),
    ]
    rows = [_row(name, found) for name, found in record.saturation.items()]
    yield Table("Saturation", columns, rows, notes=_notes(record))


def _row(name: str, found: Saturation) -> list[Cell]:
    verdict = "fits in 16 bits" if found.fits_16_bits else "CAN SATURATE"
    return [name, found.largest_sum, found.pairs_beyond, found.pairs, verdict]


def _notes(record: ParityRecord) -> list[str]:
    notes = [
        f"{WHERE} add the products of two neighbouring inputs in 16 bits, which hold at most {LARGEST_INT16:,}. Pairs "
        f"beyond: pairs of weights whose sum can exceed that."
    ]
    if any(not found.fits_16_bits for found in record.saturation.values()):
        notes.append(
            "A file that can saturate may give other answers there, whatever was measured here: quantise it with "
            "7-bit weights (onnxruntime's reduce_range=True; mnist-bench export does)."
        )
    return notes
