"""The confusion matrix with its counts."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_bench.analysis.classes import confusions
from mnist_bench.core.commands import resume_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import INK, MUTED, Picture, short

ORDER = 3


def build(material: Material) -> Iterator[Picture | Skipped]:
    """One picture per finished run."""
    for record in material.records:
        if record.final:
            yield _picture(record)
        else:
            yield Skipped(
                f"confusion of {record.name}", "training is not finished", resume_command(record, material.out)
            )


def _picture(record: Record) -> Picture:
    names, matrix = record.dataset.classes, confusions(record)
    wrong, most = int(matrix.sum() - matrix.trace()), np.argmax(matrix * (1 - np.eye(len(names), dtype=int)))
    i, j = divmod(int(most), len(names))
    often = f"; most often {names[i]} was taken for {names[j]}, {matrix[i, j]} times" if wrong else ""
    says = f"Confusion matrix of {record.name}: {wrong:,} of {matrix.sum():,} test images off its diagonal{often}."
    return Picture(record.name, "confusion", _draw(record, matrix), says)


def _draw(record: Record, matrix: NDArray[np.int64]) -> Figure:
    names = record.dataset.classes
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
