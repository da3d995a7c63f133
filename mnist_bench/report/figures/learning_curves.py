"""Accuracy and loss over the epochs of a run."""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes

from mnist_bench.core.commands import resume_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import BLUE, GREEN, MEASURES, ORANGE, Measure, Picture, panel, short

ORDER = 1


def build(material: Material) -> Iterator[Picture | Skipped]:
    """Two pictures per run with at least one finished epoch."""
    for record in material.records:
        if record.epochs:
            yield from (_picture(record, measure) for measure in MEASURES)
        elif record.imported:
            yield Skipped(f"learning curves of {record.name}", "it was imported, so nobody knows", "train it here")
        else:
            yield Skipped(
                f"learning curves of {record.name}", "no epoch is finished", resume_command(record, material.out)
            )


def _picture(record: Record, measure: Measure) -> Picture:
    figure, axes = panel(f"{short(record.name)}: {measure.title}")
    _curves(axes, record, measure)
    measure.axes(axes, len(record.epochs))
    axes.legend(loc="best")
    first, last = record.epochs[0], record.epochs[-1]
    watched, running = (
        [measure.written(measure.of(tally)) for tally in tallies]
        for tallies in ((first.validation, last.validation), (first.train, last.train))
    )
    says = (
        f"{measure.name.capitalize()} of {record.name} over {last.epoch} epochs. {_watched(record).capitalize()}: "
        f"{watched[0]} after epoch 1, {watched[1]} after epoch {last.epoch}; training, running: {running[0]} and "
        f"{running[1]}."
    )
    return Picture(record.name, f"learning-curves-{measure.name}", figure, says)


def _watched(record: Record) -> str:
    return "test" if record.config.validation == "test" else "held-out"


def _curves(axes: Axes, record: Record, measure: Measure) -> None:
    numbers = [epoch.epoch for epoch in record.epochs]
    for label, color, marker, dash, tallies in (
        ("training, running (dropout on)", BLUE, "o", "-", [epoch.train for epoch in record.epochs]),
        (_watched(record), ORANGE, "s", "--", [epoch.validation for epoch in record.epochs]),
    ):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "label": label, "markersize": 5}
        axes.plot(numbers, [measure.of(tally) for tally in tallies], **style)
    if record.final:
        label = "training, re-measured (dropout off)"
        mark: dict[str, Any] = {"color": GREEN, "marker": "*", "linestyle": "", "label": label, "markersize": 12}
        axes.plot(numbers[-1:], [measure.of(record.final.train)], **mark)
