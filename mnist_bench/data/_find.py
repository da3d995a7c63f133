"""Looking for the four files of a dataset in a folder: by their names, of which there are several, and by their bytes.

A SHA-256 decides what is right, so a name need not: a file of any name is taken whose size and bytes are right.
"""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mnist_bench.core import limits
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.reading import read_regular
from mnist_bench.data._format import GZIP, unpack

MOST_ENTRIES = 10_000
"""So many entries of a folder are looked at for files of other names: a folder may be anybody's home."""

MOST_ALIKE = 8
"""So many files of the right size are read, a part."""

SMALLEST_ARCHIVE, TRAILER = 18, 4  # bytes of gzip (RFC 1952): head and tail; the last four say the unpacked size

TITLES = {
    "emnist": "EMNIST",
    "qmnist": "QMNIST",
    "xnist": "QMNIST",
    "k49": "Kuzushiji-49",
    "kmnist": "KMNIST",
    "fashion": "FashionMNIST",
}
OTHERS = re.compile(f"({'|'.join(TITLES)})[-_.]", re.IGNORECASE)


@dataclass(frozen=True)
class Digests:
    """SHA-256 of one file: of its unpacked bytes, or of the `.gz` as published where only that is known."""

    unpacked: str | None = None
    archive: str | None = None


@dataclass(frozen=True)
class File:
    """A file that was read: `content` is unpacked, with its SHA-256; `archive` is that of the `.gz`, where it is one.

    `damage` says what is wrong with its archive, and then there is no content.
    """

    path: Path
    content: bytes
    sha256: str
    archive: str | None = None
    damage: DataDamaged | None = None

    def is_right(self, digests: Digests) -> bool:
        """Tell whether its bytes are those that they should be."""
        if self.damage:
            return False
        if digests.unpacked:
            return self.sha256 == digests.unpacked
        return self.archive is not None and self.archive == digests.archive


def read(path: Path) -> File:
    """Read a file, packed or not, whatever its name says.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large.
    """
    packed = read_regular(path, limits.DATASET_BYTES)
    archive = sha256(packed) if packed.startswith(GZIP) else None
    try:
        content = unpack(path, packed)
    except DataDamaged as error:
        return File(path, b"", "", archive, error)
    return File(path, content, sha256(content), archive)


def named(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of a folder that have a part's name: with a dot or a hyphen, packed or not."""
    for spelled in (name, name.replace("-idx", ".idx")):
        for path in (folder / spelled, folder / f"{spelled}.gz"):
            if path.is_file():
                yield path


def of_size(folder: Path, size: int) -> list[Path]:
    """Return the files of a folder that have so many bytes, packed or not; hidden ones are left out.

    Raises:
        OSError: the folder is there and cannot be read.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        some = sorted(itertools.islice(entries, MOST_ENTRIES), key=lambda entry: entry.name)
    found = (Path(entry) for entry in some if not entry.name.startswith(".") and _size(entry) == size)
    return list(itertools.islice(found, MOST_ALIKE))


def _size(entry: os.DirEntry[str]) -> int | None:
    """Return how many bytes a file holds, unpacked where its name says that it is packed; None where it is none."""
    try:
        if not entry.is_file():
            return None
        size = entry.stat().st_size
        if not entry.name.endswith(".gz") or size < SMALLEST_ARCHIVE:
            return size
        with open(entry, "rb") as file:  # noqa: PTH123 a DirEntry
            file.seek(-TRAILER, os.SEEK_END)
            return int.from_bytes(file.read(TRAILER), "little")
    except OSError:
        return None


def of_others(folder: Path, own: str) -> tuple[str, str] | None:
    """Return a file that is called as those of another dataset than `own`, and which; None where there is none."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, MOST_ENTRIES))
    except OSError:
        return None
    for name in names:
        found = OTHERS.match(name)
        if found and "idx" in name.lower() and found[1].lower() not in own.lower():
            return name, TITLES[found[1].lower()]
    return None
