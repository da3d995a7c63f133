"""Which processors were emulated, by what, and whether they gave the answers that were known."""

from collections.abc import Iterator

from mnist_bench.analysis.processors import counted, shows
from mnist_bench.core.types import Emulated, FleetRecord
from mnist_bench.report._table import Cell, Column, Table, ViewOptions

ORDER = 3


def build(record: FleetRecord, _options: ViewOptions) -> Iterator[Table]:
    """One table, a row per processor, refused ones too."""
    names = ("Processor", "Emulator", "Model", "Instruction sets", "Known answers", "Counts")
    rows = [_row(one) for one in record.processors]
    yield Table("Emulated processors", [Column(name) for name in names], rows, notes=list(_notes(record)))


def _row(one: Emulated) -> list[Cell]:
    cases, wrong = sum(check.cases for check in one.checks), sum(check.wrong for check in one.checks)
    known = f"{cases - wrong:,} of {cases:,} right, in {len(one.checks)} kinds" if one.checks else "–"
    sets = ", ".join(one.instructions) or "–"
    return [one.name, one.emulator, one.model, sets, known, f"no: {one.refusal}" if one.refusal else "yes"]


def _notes(record: FleetRecord) -> Iterator[str]:
    libraries = next((one.libraries for one in counted(record)), {})
    if libraries:
        listed = ", ".join(f"{name} {version}" for name, version in libraries.items())
        yield f"The unmodified packages of each kind of processor, of the same versions everywhere: {listed}."
    yield (
        "Known answers: single instructions on operands whose results were worked out exactly (pairs of byte products, "
        "fused and unfused multiply-add, half precision), and graphs of integers in ONNX Runtime."
    )
    alike = [one.name for one in counted(record) if shows(record.environment, one)]
    if alike:
        yield f"{', '.join(alike)} has this machine's own instruction sets, and gave its very bits."
    else:
        own = ", ".join(record.environment.instructions) or "which it does not tell"
        yield (
            f"No emulated processor has this machine's own instruction sets ({own}): exact answers stand in for its "
            f"bits."
        )
