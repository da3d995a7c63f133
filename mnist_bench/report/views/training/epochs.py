"""Loss and accuracy of every epoch."""

from collections.abc import Iterator, Sequence

from mnist_bench.core.types import Record
from mnist_bench.report._table import Column, Table, Unit, ViewOptions

ORDER = 2


def build(records: Sequence[Record], _options: ViewOptions) -> Iterator[Table]:
    """One table per run that was trained here."""
    return (_table(record) for record in records if record.epochs or not record.imported)


def _table(record: Record) -> Table:
    watched = "Test" if record.config.validation == "test" else "Held-out"
    columns = [
        Column("Epoch", Unit.ORDINAL),
        Column("Train loss", Unit.NATS),
        Column("Train acc.", Unit.SHARE),
        Column(f"{watched} loss", Unit.NATS),
        Column(f"{watched} acc.", Unit.SHARE),
        Column("Training", Unit.SECONDS),
        Column("Evaluation", Unit.SECONDS),
    ]
    rows = [
        (
            epoch.epoch,
            epoch.train.loss,
            epoch.train.accuracy,
            epoch.validation.loss,
            epoch.validation.accuracy,
            epoch.train_s,
            epoch.evaluation_s,
        )
        for epoch in record.epochs
    ]
    note = "Losses are means over images. Training figures are running ones: dropout on, weights changing."
    return Table(f"Epochs of {record.name}", columns, rows, notes=[note])
