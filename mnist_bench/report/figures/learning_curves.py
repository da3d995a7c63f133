"""Accuracy and loss over the epochs of a run."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from mnist_bench.core.types import Record, Skipped
from mnist_bench.data import Dataset
from mnist_bench.report.figures._style import BLUE, GREEN, ORANGE, Picture, accuracy_axes, loss_axes, panels, short


def build(records: Sequence[Record], _dataset: Dataset | Skipped) -> Iterator[Picture | Skipped]:
    """One picture per run with at least one finished epoch."""
    for record in records:
        if record.epochs:
            yield Picture(record.name, "learning-curves", _draw(record))
        else:
            yield Skipped(
                f"learning curves of {record.name}", "no epoch is finished", f"train --run {record.name} --resume"
            )


def _draw(record: Record) -> Figure:
    figure, (accuracy, loss) = panels(2, f"{short(record.name)}: {record.config.activation} on {record.dataset.name}")
    numbers = [epoch.epoch for epoch in record.epochs]
    watched = "test" if record.config.validation == "test" else "held-out"
    for label, color, marker, dash, tallies in (
        ("training, running (dropout on)", BLUE, "o", "-", [epoch.train for epoch in record.epochs]),
        (watched, ORANGE, "s", "--", [epoch.validation for epoch in record.epochs]),
    ):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "label": label, "markersize": 5}
        accuracy.plot(numbers, [tally.accuracy for tally in tallies], **style)
        loss.plot(numbers, [tally.loss for tally in tallies], **style)
    if record.final:
        mark: dict[str, Any] = {
            "color": GREEN,
            "marker": "*",
            "linestyle": "",
            "label": "training, re-measured (dropout off)",
            "markersize": 12,
        }
        accuracy.plot(numbers[-1:], [record.final.train.accuracy], **mark)
        loss.plot(numbers[-1:], [record.final.train.loss], **mark)
    accuracy_axes(accuracy, len(record.epochs))
    loss_axes(loss, len(record.epochs))
    accuracy.legend(loc="best")
    return figure
