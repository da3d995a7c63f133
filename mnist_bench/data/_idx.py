"""The datasets in MNIST's own file format: found, checked byte for byte, and parsed."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mnist_bench.core.errors import BadInput, DataDamaged, DataUnavailable, EnvironmentProblem
from mnist_bench.core.places import cache_folder
from mnist_bench.data import _complaints, _download, _find
from mnist_bench.data._arrays import Dataset, Images
from mnist_bench.data._find import Digests, File
from mnist_bench.data._format import Header

SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


@dataclass(frozen=True)
class IdxSource:
    """A dataset of four IDX files, in the folder layout and from the servers of a torchvision class.

    `folder` is both the folder's name below a torchvision root and the name of torchvision's class; for
    `usual_distance` see `Dataset`.
    """

    name: str
    folder: str
    classes: tuple[str, ...]
    digests: dict[str, Digests]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: SHAPES)
    usual_distance: float | None = None

    def load(self, data_dir: Path | None, *, download: bool = True) -> Dataset:
        """Load from `data_dir`, else from the user's cache folder, else download into that; see `mnist_bench.data`."""
        if data_dir and not data_dir.is_dir():
            raise BadInput(f"the data folder {data_dir} is not there: correct --data-dir or MNIST_BENCH_DATA")
        if found := self._given(data_dir) if data_dir else None:
            return found
        if found := self._cached():
            return found
        if not download:
            raise DataUnavailable(f"{self.name} is not on this machine: give --data-dir DIR")
        return self._whole(_download.fetch(self.name, self.folder, self._whole, self._cached))

    def _given(self, data_dir: Path) -> Dataset | None:
        """Load from a folder that was named; None where nothing there is of this dataset, or is taken for it.

        Raises:
            DataDamaged: the files are there and are not right, or are another dataset's.
        """
        places, wrong = (data_dir / self.folder / "raw", data_dir, data_dir / "raw"), []
        for place in places:
            try:
                if found := self.read(place):
                    return found
            except DataDamaged as error:
                wrong.append(error)
        wrong += [other for place in places if (other := _complaints.another(self, place))]
        if wrong:
            raise wrong[0]
        return None

    def _cached(self) -> Dataset | None:
        with contextlib.suppress(EnvironmentProblem):  # who has no home may still have the data elsewhere
            return self.read(cache_folder() / self.folder / "raw")
        return None

    def _whole(self, folder: Path) -> Dataset:
        if (found := self.read(folder)) is None:
            raise DataDamaged(f"{folder} holds none of the files of {self.name}: download them again")
        return found

    def header(self, name: str) -> Header:
        """Return what a part's first bytes say."""
        return Header(np.dtype(np.uint8), self.shapes[name])

    def read(self, folder: Path) -> Dataset | None:
        """Read, check and parse the four files of a folder; None where none is there.

        Raises:
            DataDamaged: some are there, and not all of them are right.
            DataUnavailable: the folder or a file cannot be read.
        """
        try:
            files = {name: self._part(folder, name) for name in self.shapes}
        except OSError as error:
            remedy = "change its permissions" if isinstance(error, PermissionError) else "replace it"
            raise DataUnavailable(
                f"{error.filename or folder} cannot be read: {error.strerror or error}; {remedy}"
            ) from error
        if not any(files.values()):
            return None
        return self._dataset(folder, {name: self._right(folder, name, file) for name, file in files.items()})

    def _part(self, folder: Path, name: str) -> File | None:
        """Return a part: a file with its bytes; else one with its name; else None."""
        called_so = []
        for path in _find.named(folder, name):
            file = _find.read(path)
            if file.is_right(self.digests[name]):
                return file
            called_so.append(file)
        for path in _find.of_size(folder, self.header(name).file_size):
            with contextlib.suppress(OSError):  # it may be anybody's
                file = _find.read(path)
                if file.is_right(self.digests[name]):
                    return file
        return next(iter(called_so), None)

    def _right(self, folder: Path, name: str, file: File | None) -> File:
        """Return a part where it is right; else say what is wrong."""
        if file is None:
            raise _complaints.missing(folder, name)
        if not file.is_right(self.digests[name]):
            raise _complaints.wrong(self, name, file)
        return file

    def _dataset(self, folder: Path, files: dict[str, File]) -> Dataset:
        arrays = [
            np.frombuffer(files[name].content, np.uint8, offset=self.header(name).size).reshape(shape)
            for name, shape in self.shapes.items()
        ]
        sums = {name: file.sha256 for name, file in files.items()}
        return Dataset(
            self.name,
            Images(*arrays[:2]),
            Images(*arrays[2:]),
            self.classes,
            sums,
            str(folder),
            usual_distance=self.usual_distance,
        )
