"""ReLU against Sigmoid: the validation curves of several runs in one picture."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from mnist_bench.core.types import Record, Skipped
from mnist_bench.data import Dataset
from mnist_bench.report.figures._style import LINES, Picture, accuracy_axes, loss_axes, panels, short

ENOUGH = 2


def build(records: Sequence[Record], _dataset: Dataset | Skipped) -> Iterator[Picture | Skipped]:
    """One picture of all runs with at least one finished epoch, put into the first one's folder."""
    begun = [record for record in records if record.epochs]
    if not ENOUGH <= len(begun) <= len(LINES):
        remedy = "report two to four: --run NAME --run NAME"
        yield Skipped("activations", f"it compares runs, and here is {len(begun)}", remedy)
        return
    yield Picture(begun[0].name, "activations", _draw(begun))


def _draw(records: Sequence[Record]) -> Figure:
    figure, (accuracy, loss) = panels(2, " against ".join(_label(record) for record in records))
    for record, (color, marker, dash) in zip(records, LINES, strict=False):
        numbers = [epoch.epoch for epoch in record.epochs]
        style: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "linestyle": dash,
            "label": _label(record),
            "markersize": 5,
        }
        accuracy.plot(numbers, [epoch.validation.accuracy for epoch in record.epochs], **style)
        loss.plot(numbers, [epoch.validation.loss for epoch in record.epochs], **style)
    accuracy_axes(accuracy, max(len(record.epochs) for record in records))
    loss_axes(loss, max(len(record.epochs) for record in records))
    accuracy.set_title("Validation accuracy")
    loss.set_title("Validation loss per image (nats)")
    accuracy.legend(loc="best")
    return figure


def _label(record: Record) -> str:
    return f"{record.config.activation} ({short(record.name)})"
