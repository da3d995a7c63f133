"""Datasets: what a notebook looks at first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mnist_bench.report as reporting
from mnist_bench import data
from mnist_bench.api._shown import Shown
from mnist_bench.stages.options import Place, data_folder, dataset_name

if TYPE_CHECKING:
    from mnist_bench.data import Dataset, Images


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Data(Shown):
    """A dataset: `dataset` is what the commands train on."""

    dataset: "Dataset"

    @property
    def train(self) -> "Images":
        """The training images: `pixels` uint8 (n, 28, 28), 0 (paper) to 255 (ink), and `labels` uint8 (n,)."""
        return self.dataset.train

    @property
    def test(self) -> "Images":
        """The test images, as `train`."""
        return self.dataset.test

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels 0, 1, … are called."""
        return self.dataset.classes

    def _blocks(self) -> Iterator[reporting.Block]:
        yield from reporting.data_tables(self.dataset)
        yield reporting.samples(self.dataset)

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} training images, {len(self.test):,} test images"
        return f"Data({self.dataset.name!r}, {sizes}, {len(self.classes)} classes)"


def open_data(dataset: Place = "mnist", *, data_dir: Place | None = None) -> Data:
    """Load a dataset; it is downloaded where it is one of ours and nowhere on this machine.

    Args:
        dataset: `mnist`, `fashion`, `kmnist` or `digits`; or a folder of your own images.
        data_dir: a folder to look into first; MNIST_BENCH_DATA's where it is None.

    Raises:
        DataUnavailable: it is not here and cannot be downloaded.
        DataDamaged: a file does not hold what it should.
        BadInput: there is no such dataset.
    """
    name = dataset_name(dataset)
    data.check_name(name)
    return Data(data.load(name, data_folder(data_dir)))
