"""What a dataset is, in numbers: those that a notebook looks at first."""

from collections.abc import Iterator

import numpy as np

from mnist_bench.core.dataset_names import shown
from mnist_bench.data import Dataset, Images
from mnist_bench.report._table import Cell, Column, Quantity, Table, Unit

BRIGHTEST = 255


def data_tables(dataset: Dataset) -> Iterator[Table]:
    """Yield the facts of the training and the test images, and how many of each class there are."""
    called = shown(dataset.name)
    parts = (dataset.train, dataset.test)
    facts: list[list[Cell]] = [
        ["Images", *(Quantity(len(part), Unit.COUNT) for part in parts)],
        ["Shape", *(" × ".join(f"{size:,}" for size in part.pixels.shape) for part in parts)],
        ["Type, range", *(f"{part.pixels.dtype}, {part.pixels.min()} to {part.pixels.max()}" for part in parts)],
        ["Mean brightness (0 to 1)", *(Quantity(float(part.pixels.mean()) / BRIGHTEST, Unit.RATIO) for part in parts)],
        ["Standard deviation", *(Quantity(float(part.pixels.std()) / BRIGHTEST, Unit.RATIO) for part in parts)],
        ["Pixels that are 0", *(Quantity(float(np.mean(part.pixels == 0)), Unit.SHARE) for part in parts)],
    ]
    heads = [Column("Training"), Column("Test")]
    notes = [f"Source: {dataset.origin}.", *dataset.remarks]
    yield Table(f"{called}: {len(dataset.classes)} classes", [Column("Fact"), *heads], facts, notes=notes)
    yield _classes(called, dataset)


def _classes(called: str, dataset: Dataset) -> Table:
    counts = [_counted(part, len(dataset.classes)) for part in (dataset.train, dataset.test)]
    columns = [
        Column("Class"),
        Column("Training", Unit.COUNT),
        Column("Share", Unit.SHARE),
        Column("Test", Unit.COUNT),
        Column("Share", Unit.SHARE),
    ]
    train, test = counts
    rows: list[list[Cell]] = [
        [name, train[place], train[place] / sum(train), test[place], test[place] / sum(test)]
        for place, name in enumerate(dataset.classes)
    ]
    return Table(f"Classes of {called}", columns, rows)


def _counted(part: Images, classes: int) -> list[int]:
    found: list[int] = np.bincount(part.labels, minlength=classes).tolist()
    return found
