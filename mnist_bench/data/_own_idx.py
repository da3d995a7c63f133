"""Anybody's own four IDX files: MNIST's format, and other images."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import limits
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.reading import read_regular
from mnist_bench.core.text import line
from mnist_bench.data import _format, _listing
from mnist_bench.data._arrays import MOST_LABELS, SIDE, Images, Parts

PARTS, KINDS = re.compile("train|t10k|test"), re.compile("image|label")
OF_IMAGES, OF_ROWS = 3, 2
"""Numbers of dimensions; QMNIST's labels are rows of eight numbers, of which the first is the class."""

Files = dict[tuple[str, str], Path]
"""The file of a part, train or test, and a kind, image or label."""


def read(folder: Path) -> Parts | None:
    """Read the four files of a folder; None where it holds none. Labels stay as they are, so classes are numbers.

    Raises:
        DataDamaged: a file is missing, is there twice, or is none.
        OSError: one cannot be read.
    """
    files = _files(folder)
    if not files:
        return None
    train, test = (_images(folder, files, part) for part in ("train", "test"))
    highest = int(max(train.labels.max(), test.labels.max()))
    return Parts(train, test, tuple(map(str, range(highest + 1))))


def _files(folder: Path) -> Files:
    found: Files = {}
    for path in _listing.visible(folder):
        name = path.name.lower()
        part, kind = PARTS.search(name), KINDS.search(name)
        if not (part and kind and path.is_file() and _may_be_idx(path)):
            continue
        before = found.setdefault(("train" if part[0] == "train" else "test", kind[0]), path)
        if before.name.removesuffix(".gz") != path.name.removesuffix(".gz"):
            raise DataDamaged(
                f"{line(str(folder))} has {line(before.name)} and {line(path.name)}, where one is enough: keep each "
                f"dataset in a folder of its own"
            )
    return found


def _may_be_idx(path: Path) -> bool:
    """Tell whether a file says that it is one of these, by its name or by how it begins."""
    if "idx" in path.name.lower() or "ubyte" in path.name.lower():
        return True
    with path.open("rb") as file:
        return _format.may_begin(file.read(_format.MAGIC))


def _images(folder: Path, files: Files, part: str) -> Images:
    """Read the images and the labels of a part."""
    for kind in ("image", "label"):
        if (part, kind) not in files:
            there = ", ".join(line(path.name) for path in files.values())
            raise DataDamaged(f"{line(str(folder))} has IDX files ({there}), and none of the {part} {kind}s: add it")
    pixels, labels = _pixels(files[part, "image"]), _labels(files[part, "label"])
    if len(pixels) != len(labels):
        raise DataDamaged(
            f"{line(str(files[part, 'image']))} holds {len(pixels):,} images, and {line(files[part, 'label'].name)} "
            f"{len(labels):,} labels: they do not belong together"
        )
    return Images(pixels, labels)


def _pixels(path: Path) -> NDArray[np.uint8]:
    values = _values(path)
    if values.dtype != np.uint8 or values.ndim != OF_IMAGES:
        raise DataDamaged(f"{line(str(path))} holds no images: unsigned bytes of three dimensions are needed")
    if values.shape[1:] != (SIDE, SIDE):
        found = " × ".join(map(str, values.shape[1:]))
        raise DataDamaged(f"{line(str(path))} has images of {found} pixels, not {SIDE} × {SIDE}: resize them first")
    return values.astype(np.uint8, copy=False)


def _labels(path: Path) -> NDArray[np.uint8]:
    values = _values(path)
    if values.ndim == OF_ROWS:
        values = values[:, 0]
    if values.ndim != 1 or values.min() < 0 or values.max() >= MOST_LABELS:
        raise DataDamaged(f"{line(str(path))} holds no labels: a number from 0 to {MOST_LABELS - 1} each is needed")
    return values.astype(np.uint8)


def _values(path: Path) -> _format.Values:
    content = _format.unpack(path, read_regular(path, limits.DATASET_BYTES))
    header = _format.header(content)
    if not content:
        raise DataDamaged(f"{line(str(path))} is empty: replace it")
    if header is None:
        raise DataDamaged(f"{line(str(path))} is {_format.otherwise(content) or 'no IDX file of bytes: replace it'}")
    if len(content) != header.file_size:
        raise DataDamaged(
            f"{line(str(path))} holds {len(content):,} bytes, and its header says {header.file_size:,}: replace it"
        )
    if not all(header.shape):
        raise DataDamaged(f"{line(str(path))} holds nothing: put images there")
    return _format.values(content, header)
