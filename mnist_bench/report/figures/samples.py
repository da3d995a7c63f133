"""Some images of every class."""

from collections.abc import Iterator

import numpy as np

from mnist_bench.core.dataset_names import shown
from mnist_bench.core.kinds import Skipped
from mnist_bench.data import Dataset
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, image_grid, short

PER_CLASS = 10
MOST_CLASSES = 62  # letters and digits: a picture of more rows is higher than a printed page is long


def build(material: Material) -> Iterator[Picture | Skipped]:
    """One picture: a row per class, its first training images."""
    dataset = material.dataset
    if not material.records:
        return
    if isinstance(dataset, Skipped):
        yield Skipped("samples", dataset.reason, dataset.remedy)
        return
    yield picture(dataset, material.records[0].name)


def picture(dataset: Dataset, run: str) -> Picture:
    """Draw the first training images of each class, for a run's folder."""
    there = [(label, dataset.classes[label]) for label in np.unique(dataset.train.labels).tolist()][:MOST_CLASSES]
    called = shown(dataset.name)
    figure, axes = image_grid(len(there), PER_CLASS, f"{short(called)}: training images", cell_inches=0.8)
    for place, (label, name) in enumerate(there):
        of_class = np.flatnonzero(dataset.train.labels == label)[:PER_CLASS]
        row = axes[place * PER_CLASS : (place + 1) * PER_CLASS]
        for panel, index in zip(row, of_class, strict=False):
            panel.imshow(dataset.train.pixels[index], cmap="gray_r", vmin=0, vmax=255)
        row[0].text(-0.25, 0.5, short(name), transform=row[0].transAxes, ha="right", va="center")
    which = f"the first {len(there)} classes" if len(there) == MOST_CLASSES else "each class"
    says = f"The first {PER_CLASS} training images of {which} of {called}."
    return Picture(run, "samples", figure, says)
