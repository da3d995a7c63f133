"""Which image files a folder of anybody's own holds, with their classes: by folders, or by a list in labels.csv.

`DIR/train/CLASS/*.png` and `DIR/test/CLASS/*.png`, as torchvision's ImageFolder has them; `DIR/CLASS/*.png`; or
`DIR/labels.csv` with the columns file, label and, if it says so, split.
"""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

from mnist_bench.core import limits
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.reading import read_regular
from mnist_bench.core.text import line

Part = Literal["train", "test"]
FOLDERS: dict[str, Part] = {"train": "train", "training": "train", "test": "test", "testing": "test"}
LIST = "labels.csv"
COLUMNS = (["file", "label"], ["file", "label", "split"])
OTHER_IMAGES = (".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")


class Entry(NamedTuple):
    """An image file: the name of its class, and whether it is for training or for testing, where that is said."""

    path: Path
    label: str
    part: Part | None


def entries(folder: Path) -> list[Entry]:
    """List the images of a dataset, in an order that depends on names alone; empty where there are none.

    Raises:
        DataDamaged: they are not as one of the layouts has them.
        OSError: a folder cannot be read.
    """
    if (folder / LIST).is_file():
        return list(_limited(folder, _listed(folder)))
    parts = {FOLDERS[path.name]: path for path in _folders(folder) if path.name in FOLDERS}
    if not parts:
        return list(_limited(folder, _by_class(folder, None)))
    for wanted in ("train", "test"):
        if wanted not in parts:
            raise DataDamaged(
                f"{_named(folder)} has no folder {wanted} beside {_named(*parts.values())}: add it, or put the folders "
                f"of the classes themselves into {_named(folder)}, which is split then"
            )
    both = (entry for part, path in sorted(parts.items()) for entry in _by_class(path, part))
    return list(_limited(folder, both))


def _limited(folder: Path, found: Iterator[Entry]) -> Iterator[Entry]:
    for count, entry in enumerate(found, 1):
        if count > limits.MOST_IMAGES:
            raise DataDamaged(
                f"{_named(folder)} holds more than {limits.MOST_IMAGES:,} images: put them into four IDX files"
            )
        yield entry


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder; a link to one is refused, as it may lead anywhere."""
    found = [path for path in visible(folder) if path.is_dir()]
    if link := next((path for path in found if path.is_symlink()), None):
        raise DataDamaged(f"{_named(link)} is a link, and none is followed here: put the folder itself there")
    return found


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what is hidden, sorted by name; no more than a dataset may hold.

    Raises:
        DataDamaged: there is more.
    """
    found = []
    with os.scandir(folder) as inside:
        for entry in inside:
            if not entry.name.startswith("."):
                found.append(Path(entry))
            if len(found) > limits.MOST_IMAGES:
                raise DataDamaged(f"{_named(folder)} holds more than {limits.MOST_IMAGES:,} files: no dataset does")
    return sorted(found)


def _by_class(folder: Path, part: Part | None) -> Iterator[Entry]:
    """Yield the images of the folders in a folder, each a class."""
    for place in _folders(folder):
        images = list(_images(place))
        if not images:
            raise DataDamaged(f"{_named(place)} is the folder of a class and holds no PNG file: add some, or remove it")
        yield from (Entry(path, place.name, part) for path in images)


def _images(place: Path) -> Iterator[Path]:
    for path in visible(place):
        if path.suffix.lower() in OTHER_IMAGES:
            raise DataDamaged(f"{_named(path)} is not a PNG, and no other kind of image is read: convert it")
        if path.suffix.lower() == ".png":
            yield path
        elif path.is_dir():
            raise DataDamaged(f"{_named(path)} is a folder in that of a class: put its images beside it")


def _listed(folder: Path) -> Iterator[Entry]:
    """Yield what labels.csv lists."""
    place = folder / LIST
    try:
        content = read_regular(place, limits.RECORD_BYTES, links=False).decode("utf-8-sig")
        rows = csv.reader(io.StringIO(content, newline=""), strict=True)
        columns = [name.strip().lower() for name in next(rows, [])]
        if columns not in COLUMNS:
            raise DataDamaged(f"{_named(place)} begins with {line(','.join(columns))[:80]!r}, not file,label[,split]")
        seen: dict[str, int] = {}
        for row in rows:
            if row:
                yield _of_row(folder, row, rows.line_num, columns, seen)
    except UnicodeDecodeError as error:
        raise DataDamaged(f"{_named(place)} is not UTF-8: save it as that") from error
    except csv.Error as error:
        raise DataDamaged(f"{_named(place)} is not a list of comma-separated values ({error}): correct it") from error


def _of_row(folder: Path, row: list[str], number: int, columns: list[str], seen: dict[str, int]) -> Entry:
    where = f"{_named(folder / LIST)} line {number}"
    if len(row) != len(columns):
        raise DataDamaged(f"{where} has {len(row)} fields, not {len(columns)}: correct it")
    name, label, split = (*(field.strip() for field in row), "")[:3]
    if split not in {"train", "test", ""} or ("split" in columns) is not bool(split):
        raise DataDamaged(f"{where} has the split {line(split)[:80]!r}: write train or test")
    if name in seen:
        raise DataDamaged(f"{where} names {line(name)[:80]!r} as line {seen[name]} does: list every image once")
    seen[name] = number
    path = folder / name
    inside = name and not PurePath(name).is_absolute() and ".." not in PurePath(name).parts
    if not inside or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise DataDamaged(f"{where} names {line(name)[:80]!r}, which is not in this folder: put it there")
    if not path.is_file():
        raise DataDamaged(f"{where} names {line(name)[:80]!r}, which is not there: add the file, or remove the line")
    return Entry(path, label, FOLDERS.get(split))


def _named(*paths: Path) -> str:
    return line(", ".join(map(str, paths)))
