"""Some images of every class."""

from collections.abc import Iterator

import numpy as np

from mnist_bench.core.kinds import Skipped
from mnist_bench.report._material import Material
from mnist_bench.report.figures._style import Picture, image_grid

PER_CLASS = 10


def build(material: Material) -> Iterator[Picture | Skipped]:
    """One picture: a row per class, its first training images."""
    dataset = material.dataset
    if not material.records:
        return
    if isinstance(dataset, Skipped):
        yield Skipped("samples", dataset.reason, dataset.remedy)
        return
    figure, axes = image_grid(len(dataset.classes), PER_CLASS, f"{dataset.name}: training images", cell_inches=0.8)
    for label, name in enumerate(dataset.classes):
        of_class = np.flatnonzero(dataset.train.labels == label)[:PER_CLASS]
        row = axes[label * PER_CLASS : (label + 1) * PER_CLASS]
        for panel, index in zip(row, of_class, strict=False):
            panel.imshow(dataset.train.pixels[index], cmap="gray_r", vmin=0, vmax=255)
        row[0].text(-0.25, 0.5, name, transform=row[0].transAxes, ha="right", va="center")
    says = f"The first {PER_CLASS} training images of each class of {dataset.name}."
    yield Picture(material.records[0].name, "samples", figure, says)
