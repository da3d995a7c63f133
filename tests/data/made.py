"""Datasets of anybody's own, written for tests from the digits inside scikit-learn."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_bench.data import Dataset, Images


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def some(images: Images, each: int, classes: int = 10) -> Images:
    """Return the first images of some classes, in their order."""
    chosen = [np.flatnonzero(images.labels == label)[:each] for label in range(classes)]
    return images.take(np.concatenate(chosen))


def write_folders(folder: Path, images: Images, names: tuple[str, ...]) -> None:
    for number, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        write_png(folder / names[label] / f"{number:04d}.png", pixels)


def png_folder(folder: Path, digits: Dataset, *, train: int = 20, test: int = 10, classes: int = 10) -> Path:
    """Write DIR/train/CLASS/*.png and DIR/test/CLASS/*.png: so many images of each class."""
    write_folders(folder / "train", some(digits.train, train, classes), digits.classes)
    write_folders(folder / "test", some(digits.test, test, classes), digits.classes)
    return folder


def idx(values: NDArray[np.integer]) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def idx_folder(folder: Path, train: Images, test: Images, names: str = "{part}-{kind}-idx{dimensions}-ubyte") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, images in (("train", train), ("t10k", test)):
        for kind, values in (("images", images.pixels), ("labels", images.labels)):
            name = names.format(part=part, kind=kind, dimensions=values.ndim)
            (folder / name).write_bytes(idx(values))
    return folder
