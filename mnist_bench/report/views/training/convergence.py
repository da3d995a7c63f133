"""How soon it gets good; two or more runs side by side, with the differences."""

from collections.abc import Callable, Iterator, Sequence

from mnist_bench.analysis.learning import (
    accuracy_after,
    best_epoch,
    first_epoch_at,
    images_per_second,
    training_s,
    unlike,
    watched,
)
from mnist_bench.core.types import Record
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit, ViewOptions

ORDER = 4
PAIR = 2


def build(records: Sequence[Record], options: ViewOptions) -> Iterator[Table]:
    """One table, a column per run that was trained; with exactly two, a column with the second minus the first."""
    records = [record for record in records if record.epochs or not record.imported]
    if not records:
        return
    columns = [Column("Convergence"), *(Column(record.name) for record in records)]
    rows: list[list[Cell]] = []
    for name, unit, difference, measure in _measures(options.convergence_at):
        values = [measure(record) for record in records]
        rows.append([name, *(Quantity(value, unit) for value in values), *_difference(values, difference)])
    if len(records) == PAIR:
        columns.append(Column(f"{records[1].name} - {records[0].name}"))
    note = f"First epoch –: {100 * options.convergence_at:g}% was not reached."
    yield Table("Convergence", columns, rows, notes=[note, *watched(records), *unlike(records)])


def _measures(level: float) -> list[tuple[str, Unit, Unit, Callable[[Record], float | None]]]:
    return [
        (f"First epoch at {100 * level:g}%", Unit.ORDINAL, Unit.COUNT_DIFFERENCE, lambda r: first_epoch_at(r, level)),
        ("Accuracy after epoch 1", Unit.SHARE, Unit.SHARE_DIFFERENCE, lambda r: accuracy_after(r, 1)),
        ("Accuracy after epoch 5", Unit.SHARE, Unit.SHARE_DIFFERENCE, lambda r: accuracy_after(r, 5)),
        ("Best accuracy", Unit.SHARE, Unit.SHARE_DIFFERENCE, _best_accuracy),
        ("Final accuracy", Unit.SHARE, Unit.SHARE_DIFFERENCE, lambda r: accuracy_after(r, max(len(r.epochs), 1))),
        (
            "Final test accuracy",
            Unit.SHARE,
            Unit.SHARE_DIFFERENCE,
            lambda r: r.final.test.accuracy if r.final else None,
        ),
        ("Final validation loss", Unit.NATS, Unit.NATS_DIFFERENCE, _final_loss),
        ("Training time", Unit.SECONDS, Unit.SECONDS_DIFFERENCE, training_s),
        ("Images/s", Unit.PER_SECOND, Unit.PER_SECOND_DIFFERENCE, images_per_second),
    ]


def _best_accuracy(record: Record) -> float | None:
    best = best_epoch(record)
    return best.validation.accuracy if best else None


def _final_loss(record: Record) -> float | None:
    return record.epochs[-1].validation.loss if record.epochs else None


def _difference(values: Sequence[float | None], unit: Unit) -> list[Quantity]:
    if len(values) != PAIR:
        return []
    first, second = values
    return [Quantity(None if first is None or second is None else second - first, unit)]
