"""What is wrong with targets that fail: what was tried, how much of the answers it explains, and the way out."""

from collections.abc import Iterator

from mnist_bench.core.types import Diagnosis, Hypothesis, ParityRecord
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 1.5
MARK = "→ "


def build(record: ParityRecord, _options: ViewOptions) -> Iterator[Table]:
    """A table a target that failed, and one for all that came to the same; none where nothing was tried."""
    alike: dict[tuple[int, tuple[Hypothesis, ...]], list[Diagnosis]] = {}
    for found in record.diagnoses:
        alike.setdefault((found.wrong, found.hypotheses), []).append(found)
    for same in alike.values():
        yield _table(same[0], ", ".join(found.target for found in same))


def _table(found: Diagnosis, targets: str) -> Table:
    columns = [Column("What usually is wrong"), Column("Explains", Unit.SHARE), Column("Way out")]
    rows = [_row(one, named=one is found.cause) for one in found.hypotheses]
    return Table(f"What is wrong with {targets}", columns, rows, notes=list(_notes(found)))


def _row(one: Hypothesis, *, named: bool) -> list[Cell]:
    if one.explained is None:
        return [one.name, None, f"not tried: {one.reason}"]
    return [MARK + one.name if named else one.name, one.explained, one.remedy if one.holds else ""]


def _notes(found: Diagnosis) -> Iterator[str]:
    tried = any(one.explained is not None for one in found.hypotheses)
    nothing = "Nothing that usually is wrong explains it." if tried else "None of it could be tried."
    yield f"It is this: {found.cause.says}." if found.cause else nothing
    yield (
        f"Explains: the share of {found.images:,} images, {found.wrong:,} of them answered wrongly, whose answers are "
        f"within the tolerance of those that the hypothesis predicts (docs/diagnosis.md)."
    )
