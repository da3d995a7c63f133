"""Which classes are taken for which."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.classes import confused_pairs, confusions, names
from mnist_bench.core.types import Record
from mnist_bench.report._table import Column, Table, Unit, ViewOptions

ORDER = 6
PREVIEW = 10


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per finished run: ordered pairs of classes, the most frequent confusion first."""
    return (_table(record) for record in records if record.final)


def _table(record: Record) -> Table:
    called, pairs, images = names(record), confused_pairs(record), confusions(record).sum(axis=1)
    errors = sum(count for *_, count in pairs)
    rows = [(f"{called[i]} → {called[j]}", count, count / errors, count / int(images[i])) for i, j, count in pairs]
    columns = [
        Column("True → predicted"),
        Column("Images", Unit.COUNT),
        Column("Share of errors", Unit.SHARE),
        Column("Share of class", Unit.SHARE),
    ]
    return Table(f"Confusions of {record.name}, test set", columns, rows, preview=PREVIEW)
