"""The confusion matrix with its counts."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from mnist_bench.core.types import Predictions, Record, Skipped
from mnist_bench.data import Dataset
from mnist_bench.report.figures._style import INK, MUTED, Picture, short


def build(records: Sequence[Record], _dataset: Dataset | Skipped) -> Iterator[Picture | Skipped]:
    """One picture per finished run."""
    for record in records:
        if record.final:
            yield Picture(record.name, "confusion", _draw(record, record.final.predictions))
        else:
            yield Skipped(
                f"confusion of {record.name}", "training is not finished", f"train --run {record.name} --resume"
            )


def _draw(record: Record, found: Predictions) -> Figure:
    from sklearn.metrics import confusion_matrix

    names = record.dataset.classes
    matrix = confusion_matrix(found.labels, found.predictions, labels=range(len(names)))
    errors = matrix * (1 - np.eye(len(names), dtype=int))
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    axes = figure.add_subplot()
    shades = axes.imshow(errors, cmap="Blues", vmin=0, vmax=max(int(errors.max()), 1))
    figure.colorbar(shades, ax=axes, label="errors", shrink=0.8)
    axes.grid(visible=False)
    axes.set(title=f"{short(record.name)}: test images by true and predicted class", xlabel="predicted", ylabel="true")
    long = max(map(len, names)) > 1
    axes.set_xticks(range(len(names)), names, rotation=45 if long else 0)
    axes.set_yticks(range(len(names)), names)
    for (i, j), count in np.ndenumerate(matrix):
        dark = i != j and errors[i, j] > errors.max() * 0.6
        color = MUTED if i == j or not count else "white" if dark else INK
        axes.text(j, i, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    return figure
