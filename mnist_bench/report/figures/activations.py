"""ReLU against Sigmoid: the validation curves of several runs in one picture."""

from collections.abc import Iterator, Sequence
from typing import Any

from mnist_bench.core.commands import line
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import LINES, MEASURES, Measure, Picture, panel, short

ORDER = 2
ENOUGH = 2


def build(material: Material) -> Iterator[Picture | Skipped]:
    """Two pictures of all runs with at least one finished epoch, put into the first one's folder."""
    if not material.records:
        return
    begun = [record for record in material.records if record.epochs]
    if not ENOUGH <= len(begun) <= len(LINES):
        remedy = f"report two to four: {line('report', '--run', 'NAME', '--run', 'NAME', out=material.out)}"
        yield Skipped("activations", f"it compares runs, and here is {len(begun)}", remedy)
        return
    yield from (_picture(begun, measure) for measure in MEASURES)


def _picture(records: Sequence[Record], measure: Measure) -> Picture:
    figure, axes = panel(f"Validation {measure.title}")
    for record, (color, marker, dash) in zip(records, LINES, strict=False):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "markersize": 5}
        numbers = [epoch.epoch for epoch in record.epochs]
        axes.plot(numbers, [measure.of(epoch.validation) for epoch in record.epochs], label=_label(record), **style)
    measure.axes(axes, max(len(record.epochs) for record in records))
    axes.legend(loc="best")
    ends = [f"{_label(record)} {measure.written(measure.of(record.epochs[-1].validation))}" for record in records]
    says = f"Validation {measure.name} over the epochs; after the last one: {', '.join(ends)}."
    return Picture(records[0].name, f"activations-{measure.name}", figure, says)


def _label(record: Record) -> str:
    return f"{record.config.activation} ({short(record.name)})"
