"""ReLU against Sigmoid: the validation curves of several runs in one picture."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes

from mnist_bench.core.types import Record, Skipped, Tally
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import LINES, Picture, accuracy_axes, loss_axes, panel, short

ORDER = 2
ENOUGH = 2


def build(material: Material) -> Iterator[Picture | Skipped]:
    """Two pictures of all runs with at least one finished epoch, put into the first one's folder."""
    if not material.records:
        return
    begun = [record for record in material.records if record.epochs]
    if not ENOUGH <= len(begun) <= len(LINES):
        remedy = "report two to four: --run NAME --run NAME"
        yield Skipped("activations", f"it compares runs, and here is {len(begun)}", remedy)
        return
    epochs = max(len(record.epochs) for record in begun)
    figure, axes = panel("Validation accuracy")
    _curves(axes, begun, lambda tally: tally.accuracy)
    accuracy_axes(axes, epochs)
    axes.legend(loc="best")
    ends = [f"{_label(record)} {record.epochs[-1].validation.accuracy:.2%}" for record in begun]
    says = f"Validation accuracy over the epochs; after the last one: {', '.join(ends)}."
    yield Picture(begun[0].name, "activations-accuracy", figure, says)
    figure, axes = panel("Validation loss per image (nats)")
    _curves(axes, begun, lambda tally: tally.loss)
    loss_axes(axes, epochs)
    axes.legend(loc="best")
    ends = [f"{_label(record)} {record.epochs[-1].validation.loss:.4f} nats" for record in begun]
    says = f"Validation loss over the epochs; after the last one: {', '.join(ends)}."
    yield Picture(begun[0].name, "activations-loss", figure, says)


def _curves(axes: Axes, records: Sequence[Record], measure: Callable[[Tally], float]) -> None:
    for record, (color, marker, dash) in zip(records, LINES, strict=False):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "markersize": 5}
        numbers = [epoch.epoch for epoch in record.epochs]
        axes.plot(numbers, [measure(epoch.validation) for epoch in record.epochs], label=_label(record), **style)


def _label(record: Record) -> str:
    return f"{record.config.activation} ({short(record.name)})"
