"""Datasets in MNIST's own file format (IDX): found, checked byte for byte, and parsed.

Format: http://yann.lecun.com/exdb/mnist/: a magic number (two zero bytes, 8 for unsigned bytes, the number of
dimensions), each dimension as a big-endian 32-bit integer, then the bytes.
"""

import contextlib
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import limits
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import BadInput, DataDamaged, DataUnavailable, EnvironmentProblem
from mnist_bench.core.places import cache_folder
from mnist_bench.core.reading import read_regular, unpacked
from mnist_bench.data import _download
from mnist_bench.data._arrays import Dataset, Images

SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


@dataclass(frozen=True)
class Digests:
    """SHA-256 of one file: of its unpacked bytes, or of the `.gz` as published where only that is known."""

    unpacked: str | None = None
    archive: str | None = None


@dataclass(frozen=True)
class IdxSource:
    """A dataset of four IDX files, in the folder layout and from the servers of a torchvision class.

    `folder` is both the folder's name below a torchvision root and the name of torchvision's class.
    """

    name: str
    folder: str
    classes: tuple[str, ...]
    digests: dict[str, Digests]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: SHAPES)

    def load(self, data_dir: Path | None, *, download: bool = True) -> Dataset:
        """Load from `data_dir`, else from the user's cache folder, else download into that; see `mnist_bench.data`."""
        if data_dir and not data_dir.is_dir():
            raise BadInput(f"the data folder {data_dir} is not there: correct --data-dir or MNIST_BENCH_DATA")
        raw = self.find(data_dir)
        if not raw and not download:
            raise DataUnavailable(f"{self.name} is not on this machine: give --data-dir DIR")
        return self.read(raw or _download.fetch(self.name, self.folder, self.read, lambda: self.find(None)))

    def find(self, data_dir: Path | None) -> Path | None:
        """Return the first `raw` folder that holds any of the files: below `data_dir`, or below the cache folder."""
        roots = [data_dir] if data_dir else []
        with contextlib.suppress(EnvironmentProblem):  # who has no home may still have the data elsewhere
            roots.append(cache_folder())
        folders = (root / self.folder / "raw" for root in roots)
        try:
            return next((raw for raw in folders if any(_present(raw, name) for name in self.shapes)), None)
        except OSError as error:
            raise DataUnavailable(f"{error.filename} cannot be read: {error.strerror}; mend its permissions") from error

    def read(self, raw: Path) -> Dataset:
        """Read, check and parse the four files of a folder."""
        arrays, sums = {}, {}
        for name, shape in self.shapes.items():
            content = _content(raw, name, self.digests[name])
            sums[name] = sha256(content)
            path = raw / (name if (raw / name).is_file() and self.digests[name].unpacked else f"{name}.gz")
            arrays[name] = _parse(path, content, shape, sums[name], self)
        train_images, train_labels, test_images, test_labels = arrays.values()
        return Dataset(
            self.name,
            Images(train_images, train_labels),
            Images(test_images, test_labels),
            self.classes,
            sums,
            str(raw),
        )


def _present(raw: Path, name: str) -> bool:
    return (raw / name).is_file() or (raw / f"{name}.gz").is_file()


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)


def _content(raw: Path, name: str, digests: Digests) -> bytes:
    """Return a file's unpacked bytes, from the file itself or from its `.gz`."""
    plain, archive = raw / name, raw / f"{name}.gz"
    try:
        if not _present(raw, name):
            raise DataDamaged(f"{plain} is missing beside the other files: restore it, or remove the whole folder")
        if plain.is_file() and digests.unpacked:
            return read_regular(plain, limits.DATASET_BYTES)
        if not archive.is_file():
            raise DataDamaged(f"{plain} cannot be checked without {archive.name} beside it: keep both")
        return _unpack(archive, digests)
    except OSError as error:
        raise DataUnavailable(f"{plain} cannot be read: {error.strerror}; mend its permissions") from error


def _unpack(archive: Path, digests: Digests) -> bytes:
    packed = read_regular(archive, limits.DATASET_BYTES)
    if digests.archive and sha256(packed) != digests.archive:
        raise DataDamaged(f"{archive} is not the published file (SHA-256 {sha256(packed)[:12]}…): replace it")
    try:
        return unpacked(packed, limits.DATASET_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataDamaged(f"{archive} is a damaged archive ({error}): replace it") from error


def _parse(path: Path, content: bytes, shape: tuple[int, ...], digest: str, source: IdxSource) -> NDArray[np.uint8]:
    header = _header(shape)
    size = len(header) + int(np.prod(shape))
    if not content:
        raise DataDamaged(f"{path} is empty: replace it")
    if content[:4] != header[:4]:
        raise DataDamaged(f"{path} starts with {content[:4].hex()}, not {header[:4].hex()}: it is another kind of file")
    if len(content) != size:
        raise DataDamaged(f"{path} holds {len(content):,} bytes unpacked, not {size:,}: replace it")
    if digest != (source.digests[path.name.removesuffix(".gz")].unpacked or digest):
        raise DataDamaged(f"{path} does not hold the bytes of {source.name} (SHA-256 {digest[:12]}…): replace it")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
