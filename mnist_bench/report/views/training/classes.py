"""Accuracy of every class."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.classes import confusions, names, scores
from mnist_bench.core.types import FinalMeasurement, Record
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 5


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per finished run: accuracy, precision and F1 of every class on the test set."""
    return (_table(record, record.final) for record in records if record.final)


def _table(record: Record, final: FinalMeasurement) -> Table:
    matrix = confusions(record)
    rows: list[list[Cell]] = [list(one) for one in scores(matrix, names(record))]
    columns = [
        Column("Class"),
        Column("Images", Unit.COUNT),
        Column("Errors", Unit.COUNT),
        Column("Accuracy (recall)", Unit.SHARE),
        Column("Precision", Unit.SHARE),
        Column("F1", Unit.SHARE),
    ]
    return Table(f"Classes of {record.name}, test set", columns, rows, notes=[_errors(final)])


def _errors(final: FinalMeasurement) -> str:
    wrong = final.test.images - final.test.correct
    return f"{wrong:,} of {final.test.images:,} test images are misclassified ({wrong / final.test.images:.2%})."
