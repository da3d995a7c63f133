"""Which classes are taken for which."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.classes import confusions
from mnist_bench.core.types import Record
from mnist_bench.report._table import Column, Table, Unit, ViewOptions

ORDER = 6
PREVIEW = 10


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per finished run: ordered pairs of classes, the most frequent confusion first."""
    return (_table(record) for record in records if record.final)


def _table(record: Record) -> Table:
    names, matrix = record.dataset.classes, confusions(record)
    pairs = [(i, j, int(matrix[i, j])) for i in range(len(names)) for j in range(len(names)) if i != j and matrix[i, j]]
    errors = sum(count for *_, count in pairs)
    rows = [
        (f"{names[i]} → {names[j]}", count, count / errors, count / int(matrix[i].sum()))
        for i, j, count in sorted(pairs, key=lambda pair: -pair[2])
    ]
    columns = [
        Column("True → predicted"),
        Column("Images", Unit.COUNT),
        Column("Share of errors", Unit.SHARE),
        Column("Share of class", Unit.SHARE),
    ]
    return Table(f"Confusions of {record.name}, test set", columns, rows, preview=PREVIEW)
