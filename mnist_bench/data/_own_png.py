"""Anybody's own PNG files, with their classes."""

from pathlib import Path

import numpy as np

from mnist_bench.core.dataset_names import shown
from mnist_bench.core.errors import DataDamaged
from mnist_bench.core.text import line
from mnist_bench.data import _listing, _png
from mnist_bench.data._arrays import MOST_LABELS, SIDE, Images, Parts, stratified_split
from mnist_bench.data._listing import Entry

FOR_TESTING, SPLIT_SEED = 6, 0
"""One image in so many is for testing where no test set is given, always the same ones: of MNIST it is one in seven."""

LONGEST_NAME = 60


def read(folder: Path) -> Parts | None:
    """Read the images of a folder; None where it holds none. Classes are numbered in the order of their names.

    Raises:
        DataDamaged: the images are in no layout that is known, or one of them cannot be used.
        OSError: one cannot be read.
    """
    entries = _listing.entries(folder)
    if not entries:
        return None
    classes = _classes(line(str(folder)), {entry.label for entry in entries})
    images, parts = _images(entries, classes), np.array([entry.part or "" for entry in entries])
    if parts.all():
        train, test = (images.take(np.flatnonzero(parts == part)) for part in ("train", "test"))
        return Parts(train, test, classes)
    return _split(folder, images, classes)


def _images(entries: list[Entry], classes: tuple[str, ...]) -> Images:
    numbers = {name: number for number, name in enumerate(classes)}
    pixels = np.empty((len(entries), SIDE, SIDE), np.uint8)
    for place, entry in enumerate(entries):
        pixels[place] = _png.pixels(entry.path)
    return Images(pixels, np.array([numbers[entry.label] for entry in entries], np.uint8))


def _split(folder: Path, images: Images, classes: tuple[str, ...]) -> Parts:
    """Keep a share of every class for testing, and say so."""
    counts = np.bincount(images.labels, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < FOR_TESTING:
        raise DataDamaged(
            f"{line(str(folder))} has no test set and {counts[rarest]} image(s) of class {classes[rarest]}, too few to "
            f"keep one in {FOR_TESTING} for testing: add some, or put them into folders train and test"
        )
    train, test = stratified_split(images.labels, -(-len(images) // FOR_TESTING), SPLIT_SEED)
    remark = (
        f"{shown(str(folder))} has no test set: {len(test):,} of its {len(images):,} images, one in {FOR_TESTING} of "
        f"every class and always the same, are kept for testing"
    )
    return Parts(images.take(train), images.take(test), classes, (remark,))


def _classes(folder: str, names: set[str]) -> tuple[str, ...]:
    """Sort the names of classes, by their values where all are numbers; refuse those that cannot be shown."""
    for name in sorted(names):
        if not name or len(name) > LONGEST_NAME or line(name) != name or "," in name:
            raise DataDamaged(
                f"{folder} has a class {line(name)[:LONGEST_NAME]!r}: use names of 1 to {LONGEST_NAME} characters "
                f"without commas, control characters and double spaces"
            )
    if not 1 < len(names) <= MOST_LABELS:
        raise DataDamaged(f"{folder} has {len(names):,} class(es), and 2 to {MOST_LABELS} can be told apart")
    numeric = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numeric else 0, name)))
