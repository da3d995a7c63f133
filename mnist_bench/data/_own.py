"""Anybody's own dataset, from a folder: four IDX files, or PNGs with a folder for each class or a list of labels."""

from pathlib import Path

from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import DataDamaged, DataUnavailable
from mnist_bench.core.text import line
from mnist_bench.data import _own_idx, _own_png
from mnist_bench.data._arrays import Dataset, Images, Parts

LAYOUTS = (
    "it needs four IDX files (images and labels, train and test), train/CLASS/*.png and test/CLASS/*.png, CLASS/*.png, "
    "or a labels.csv with the columns file,label[,split]"
)
FEWEST_CLASSES = 2


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """Load a dataset of anybody's own.

    Args:
        name: the path of its folder.
        data_dir: a folder that holds one of the same name, for where the first is not there.

    Raises:
        DataDamaged: the folder does not hold a dataset, or one that cannot be used.
        DataUnavailable: it is not there, or cannot be read.
    """
    folder = _place(name, data_dir)
    try:
        found = _own_idx.read(folder) or _own_png.read(folder)
    except OSError as error:
        raise DataUnavailable(
            f"{line(str(error.filename or folder))} cannot be read: {error.strerror or error}; mend or remove it"
        ) from error
    if found is None:
        raise DataDamaged(f"{line(str(folder))} holds no dataset: {LAYOUTS}")
    _check(line(str(folder)), found)
    sums = {"train": _sum(found.train), "test": _sum(found.test), "classes": sha256("\0".join(found.classes).encode())}
    return Dataset(name, found.train, found.test, found.classes, sums, str(folder), found.remarks)


def _place(name: str, data_dir: Path | None) -> Path:
    """Return the folder: where it was when it was named, or else of the same name in `data_dir`."""
    folder = Path(name)
    try:
        places = [folder, data_dir / folder.name] if data_dir else [folder]
        if found := next((place for place in places if place.is_dir()), None):
            return found
    except OSError as error:
        raise DataUnavailable(f"{line(name)} cannot be read: {error.strerror}; change its permissions") from error
    raise DataUnavailable(
        f"the folder of images {line(name)} is not there: put it back, or give --data-dir with the folder that holds "
        f"{line(folder.name)} now"
    )


def _sum(images: Images) -> str:
    return sha256(images.pixels.tobytes() + images.labels.tobytes())


def _check(folder: str, found: Parts) -> None:
    """Raise DataDamaged where a class would never be trained on, or never tested, or there is nothing to tell apart."""
    used = 0
    for number, name in enumerate(found.classes):
        train, test = (int((part.labels == number).sum()) for part in (found.train, found.test))
        if bool(train) is not bool(test):
            lacking = "test" if train else "training"
            raise DataDamaged(f"{folder} has no {lacking} image of class {name}: add some, or remove the class")
        used += bool(train)
    if used < FEWEST_CLASSES:
        raise DataDamaged(f"{folder} has one class alone, and nothing to tell it from: add another")
