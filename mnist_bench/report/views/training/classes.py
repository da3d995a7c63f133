"""Accuracy of every class."""

from collections.abc import Iterator, Sequence

from mnist_bench.core.types import FinalMeasurement, Record
from mnist_bench.report._table import Cell, Column, Table, Unit, ViewOptions

ORDER = 5


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per finished run, from scikit-learn's classification report on the test set."""
    return (_table(record, record.final) for record in records if record.final)


def _table(record: Record, final: FinalMeasurement) -> Table:
    from sklearn.metrics import classification_report

    found = final.predictions
    report = classification_report(
        found.labels,
        found.predictions,
        labels=range(len(record.dataset.classes)),
        target_names=record.dataset.classes,
        output_dict=True,
        zero_division=0,
    )
    rows = [_row(name, report[name]) for name in record.dataset.classes]
    columns = [
        Column("Class"),
        Column("Images", Unit.COUNT),
        Column("Errors", Unit.COUNT),
        Column("Accuracy (recall)", Unit.SHARE),
        Column("Precision", Unit.SHARE),
        Column("F1", Unit.SHARE),
    ]
    return Table(f"Classes of {record.name}, test set", columns, rows, notes=[_errors(final)])


def _row(name: str, scores: dict[str, float]) -> list[Cell]:
    images = int(scores["support"])
    errors = images - round(scores["recall"] * images)
    accuracy = scores["recall"] if images else None
    return [name, images, errors, accuracy, scores["precision"], scores["f1-score"]]


def _errors(final: FinalMeasurement) -> str:
    wrong = final.test.images - final.test.correct
    return f"{wrong:,} of {final.test.images:,} test images are misclassified ({wrong / final.test.images:.2%})."
