"""MNIST's own file format (IDX), and what a file is that should be one and is none.

Format: http://yann.lecun.com/exdb/mnist/: two zero bytes, a byte for the type (8 for unsigned bytes, 12 for 32-bit
integers), the number of dimensions, each dimension as a big-endian 32-bit integer, then the values, big-endian too.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import limits
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.reading import unpacked

GZIP = b"\x1f\x8b"
TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
MAGIC, MOST_DIMENSIONS = 4, 4
LABEL_ROWS = 2  # dimensions of QMNIST's labels: rows of eight integers

Values = NDArray[np.uint8] | NDArray[np.int32]

STARTS = {
    b"version https://git-lfs": "a Git LFS pointer and not the file itself: fetch that with git lfs pull",
    b"PK\x03\x04": "a zip archive: unpack it there",
    b"PAR1": "a Parquet file: export it as IDX files or as PNGs",
    b"\x89PNG": "a PNG image and no IDX file: put the IDX file there",
}
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
LOOKED_AT = 512  # a page may begin with spaces and a comment

# Cohen et al. 2017, arXiv 1702.05373, whose letters are fewer in the paper than in the files; Yadav and Bottou 2019,
# arXiv 1905.10498. EMNIST's "mnist" and QMNIST's training set have as many images as MNIST: only their names tell.
COUNTS = {
    697_932: "EMNIST's byclass or bymerge",
    116_323: "EMNIST's byclass or bymerge",
    112_800: "EMNIST's balanced",
    18_800: "EMNIST's balanced",
    240_000: "EMNIST's digits",
    40_000: "EMNIST's digits",
    124_800: "EMNIST's letters",
    20_800: "EMNIST's letters",
    88_800: "EMNIST's letters",
    14_800: "EMNIST's letters",
    50_000: "QMNIST's test50k",
    402_953: "QMNIST's nist",
}


@dataclass(frozen=True)
class Header:
    """What the first bytes of an IDX file say of the rest."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def start(self) -> bytes:
        """The first four bytes of such a file."""
        kind = next(kind for kind, dtype in TYPES.items() if dtype == self.dtype)
        return bytes([0, 0, kind, len(self.shape)])

    @property
    def size(self) -> int:
        """How many bytes the header takes."""
        return 4 + 4 * len(self.shape)

    @property
    def file_size(self) -> int:
        """How many bytes the file has, whatever the dimensions claim: Python's integers do not overflow."""
        values = 1
        for length in self.shape:
            values *= length
        return self.size + values * self.dtype.itemsize


def header(content: bytes) -> Header | None:
    """Read the header of an IDX file; None where it is none."""
    if len(content) < MAGIC or content[:2] != b"\0\0" or content[2] not in TYPES:
        return None
    dimensions = content[3]
    if not 1 <= dimensions <= MOST_DIMENSIONS or len(content) < MAGIC + 4 * dimensions:
        return None
    return Header(TYPES[content[2]], struct.unpack_from(f">{dimensions}I", content, 4))


def may_begin(start: bytes) -> bool:
    """Tell whether a file that begins so may be an IDX file, or a packed one."""
    return start.startswith(GZIP) or (len(start) == MAGIC and start[:2] == b"\0\0" and start[2] in TYPES)


def values(content: bytes, found: Header) -> Values:
    """Return the values of a file whose size is what its header says."""
    return np.frombuffer(content, found.dtype, offset=found.size).reshape(found.shape)


def unpack(path: Path, packed: bytes) -> bytes:
    """Return what is in an archive, and what is none as it is: browsers unpack some, and leave the name.

    Raises:
        DataDamaged: it is an archive, and damaged or too large.
    """
    if not packed.startswith(GZIP):
        return packed
    try:
        return unpacked(packed, limits.DATASET_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataDamaged(f"{path} is a damaged archive ({error}): replace it") from error


def otherwise(content: bytes) -> str | None:
    """Say what a file is that is no IDX file, by how it begins, and what to do; None where that is not known."""
    start = content[:LOOKED_AT].lstrip().lower()
    if start.startswith(PAGES):
        return "a web page and not the file itself: download that"
    return next((what for first, what in STARTS.items() if content.startswith(first)), None)


def known_by_count(content: bytes) -> str | None:
    """Say of which dataset a file is, by the numbers in its header; None where that is not known."""
    found = header(content)
    if found is None:
        return None
    if found.dtype != np.uint8 and len(found.shape) == LABEL_ROWS:
        return "QMNIST's"
    return COUNTS.get(found.shape[0])
