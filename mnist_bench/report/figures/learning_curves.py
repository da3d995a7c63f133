"""Accuracy and loss over the epochs of a run."""

from collections.abc import Callable, Iterator
from typing import Any

from matplotlib.axes import Axes

from mnist_bench.core.types import Record, Skipped, Tally
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import (
    BLUE,
    GREEN,
    ORANGE,
    Picture,
    accuracy_axes,
    loss_axes,
    panel,
    short,
)

ORDER = 1
Measure = Callable[[Tally], float]


def build(material: Material) -> Iterator[Picture | Skipped]:
    """Two pictures per run with at least one finished epoch."""
    for record in material.records:
        if record.epochs:
            yield _accuracy(record)
            yield _loss(record)
        else:
            yield Skipped(
                f"learning curves of {record.name}", "no epoch is finished", f"train --run {record.name} --resume"
            )


def _accuracy(record: Record) -> Picture:
    figure, axes = panel(f"{short(record.name)}: accuracy")
    _curves(axes, record, lambda tally: tally.accuracy)
    accuracy_axes(axes, len(record.epochs))
    axes.legend(loc="best")
    first, last = record.epochs[0], record.epochs[-1]
    says = (
        f"Accuracy of {record.name} over {last.epoch} epochs. {_watched(record).capitalize()}: "
        f"{first.validation.accuracy:.2%} after epoch 1, {last.validation.accuracy:.2%} after epoch {last.epoch}; "
        f"training, running: {first.train.accuracy:.2%} and {last.train.accuracy:.2%}."
    )
    return Picture(record.name, "learning-curves-accuracy", figure, says)


def _loss(record: Record) -> Picture:
    figure, axes = panel(f"{short(record.name)}: loss per image (nats)")
    _curves(axes, record, lambda tally: tally.loss)
    loss_axes(axes, len(record.epochs))
    axes.legend(loc="best")
    first, last = record.epochs[0], record.epochs[-1]
    says = (
        f"Cross-entropy loss of {record.name} over {last.epoch} epochs. {_watched(record).capitalize()}: "
        f"{first.validation.loss:.4f} nats after epoch 1, {last.validation.loss:.4f} after epoch {last.epoch}; "
        f"training, running: {first.train.loss:.4f} and {last.train.loss:.4f}."
    )
    return Picture(record.name, "learning-curves-loss", figure, says)


def _watched(record: Record) -> str:
    return "test" if record.config.validation == "test" else "held-out"


def _curves(axes: Axes, record: Record, measure: Measure) -> None:
    numbers = [epoch.epoch for epoch in record.epochs]
    for label, color, marker, dash, tallies in (
        ("training, running (dropout on)", BLUE, "o", "-", [epoch.train for epoch in record.epochs]),
        (_watched(record), ORANGE, "s", "--", [epoch.validation for epoch in record.epochs]),
    ):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "label": label, "markersize": 5}
        axes.plot(numbers, [measure(tally) for tally in tallies], **style)
    if record.final:
        label = "training, re-measured (dropout off)"
        mark: dict[str, Any] = {"color": GREEN, "marker": "*", "linestyle": "", "label": label, "markersize": 12}
        axes.plot(numbers[-1:], [measure(record.final.train)], **mark)
