"""Every test image that the network gets wrong."""

from collections.abc import Iterator, Sequence

from mnist_bench.analysis.classes import names
from mnist_bench.core.types import Predictions, Record
from mnist_bench.report._errors import misclassified
from mnist_bench.report._table import Column, Table, Unit, ViewOptions

ORDER = 7
PREVIEW = 10


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per finished run, the most confident mistake first."""
    return (_table(record, record.final.predictions) for record in records if record.final)


def _table(record: Record, found: Predictions) -> Table:
    called = names(record)
    rows = [
        (index, called[found.labels[index]], called[found.predictions[index]], -found.margins[index])
        for index in misclassified(found)
    ]
    columns = [
        Column("Test image", Unit.ORDINAL),
        Column("True"),
        Column("Predicted"),
        Column("Margin", Unit.LOGITS),
    ]
    note = "Margin: the predicted class's logit minus the true class's; images are counted from 0."
    return Table(f"Misclassified by {record.name}", columns, rows, notes=[note], preview=PREVIEW)
