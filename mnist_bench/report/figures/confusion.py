"""The confusion matrix with its counts."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_bench.analysis.classes import confusions, names
from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.commands import resume_command
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Record
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import INK, MUTED, Picture, short

ORDER = 3
MOST_WITH_COUNTS = 62
"""The numbers and names of more classes than letters and digits could not be read: those have the shades alone."""


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
    called, matrix = names(record), confusions(record)
    wrong, most = int(matrix.sum() - matrix.trace()), np.argmax(matrix * (1 - np.eye(len(called), dtype=int)))
    i, j = divmod(int(most), len(called))
    often = f"; most often {called[i]} was taken for {called[j]}, {matrix[i, j]} times" if wrong else ""
    says = f"Confusion matrix of {record.name}: {wrong:,} of {matrix.sum():,} test images off its diagonal{often}."
    return Picture(record.name, "confusion", _draw(record, matrix), says)


def _draw(record: Record, matrix: NDArray[np.int64]) -> Figure:
    called = [short(name) for name in names(record)]
    errors = matrix * (1 - np.eye(len(called), dtype=int))
    larger = max(min(len(called), MOST_WITH_COUNTS) / CLASSES, 1)
    figure = Figure(figsize=(7 * larger, 6.4 * larger), layout="constrained")
    axes = figure.add_subplot()
    shades = axes.imshow(errors, cmap="Blues", vmin=0, vmax=max(int(errors.max()), 1))
    figure.colorbar(shades, ax=axes, label="errors", shrink=0.8)
    axes.grid(visible=False)
    axes.set(title=f"{short(record.name)}: test images by true and predicted class", xlabel="predicted", ylabel="true")
    if len(called) > MOST_WITH_COUNTS:
        return figure
    long = max(map(len, called)) > 1
    axes.set_xticks(range(len(called)), called, rotation=45 if long else 0)
    axes.set_yticks(range(len(called)), called)
    for (i, j), count in np.ndenumerate(matrix):
        dark = i != j and errors[i, j] > errors.max() * 0.6
        color = MUTED if i == j or not count else "white" if dark else INK
        axes.text(j, i, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    return figure
