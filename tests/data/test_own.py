"""Folders of anybody's own images: every layout gives the same dataset, and every mistake a line that names it."""

import gzip
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_bench import data
from mnist_bench.core import limits
from mnist_bench.core.errors import BadInput, DataDamaged, DataUnavailable
from mnist_bench.data import _png
from tests.data.made import idx, idx_folder, png_folder, some, write_folders, write_png


@pytest.fixture
def folder(tmp_path: Path, digits: data.Dataset) -> Path:
    """A small dataset of PNGs: 4 training and 2 test images of each of 3 digits."""
    return png_folder(tmp_path / "own", digits, train=4, test=2, classes=3)


def test_folders_of_pngs_are_a_dataset(folder: Path, digits: data.Dataset) -> None:
    found = data.load(str(folder))
    expected = some(digits.train, 4, 3)
    np.testing.assert_array_equal(found.train.pixels, expected.pixels)
    np.testing.assert_array_equal(found.train.labels, expected.labels)
    assert found.train.labels.dtype == found.train.pixels.dtype == np.uint8
    assert (len(found.test), found.classes, found.name) == (6, ("0", "1", "2"), str(folder))
    assert (found.origin, found.remarks) == (str(folder), ())


def relist(folder: Path, split: bool = True) -> None:
    """Put all images of a folder beside each other, with a list of their labels."""
    lines = ["file,label,split" if split else "file,label"]
    for number, path in enumerate(sorted(folder.glob("*/*/*.png"))):
        path.rename(folder / f"{number}.png")
        lines.append(f"{number}.png,{path.parent.name}" + (f",{path.parent.parent.name}" if split else ""))
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    for part in ("train", "test"):
        shutil.rmtree(folder / part)


def other_words(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part).rename(folder / f"{part}ing")


def what_is_left_out(folder: Path) -> None:
    (folder / "train" / ".hidden").mkdir()
    (folder / "train" / "0" / ".x.png").write_bytes(b"no PNG")
    (folder / "train" / "0" / "notes.txt").write_text("no image")
    (folder / "README.md").write_text("no image")


@pytest.mark.parametrize("change", [relist, other_words, what_is_left_out])
def test_all_layouts_give_the_same_dataset(change: Callable[[Path], object], folder: Path) -> None:
    before = data.load(str(folder))
    change(folder)
    after = data.load(str(folder))
    assert {name: len(part) for name, part in (("train", after.train), ("test", after.test))} == {
        "train": 12,
        "test": 6,
    }
    assert after.classes == before.classes
    for one, other in ((before.train, after.train), (before.test, after.test)):
        assert sorted(map(bytes, one.pixels)) == sorted(map(bytes, other.pixels))
    if change is not relist:  # a list has an order of its own
        assert after.sha256 == before.sha256


def test_a_dataset_without_a_test_set_is_split_always_alike(tmp_path: Path, digits: data.Dataset) -> None:
    write_folders(tmp_path / "own", some(digits.train, 13), digits.classes)
    found, again = data.load(str(tmp_path / "own")), data.load(str(tmp_path / "own"))
    assert (len(found.train), len(found.test)) == (108, 22)
    assert np.bincount(found.test.labels).min() >= 2
    assert found.sha256 == again.sha256
    assert found.remarks == (
        "…/own has no test set: 22 of its 130 images, one in 6 of every class and always the same, are kept for "
        "testing",
    )


def test_classes_are_in_the_order_of_their_names_or_numbers(tmp_path: Path, digits: data.Dataset) -> None:
    for name, names in (("numbers", ("10", "9", "100")), ("words", ("b", "10", "a"))):
        write_folders(tmp_path / name, some(digits.train, 6, 3), names)
    assert data.load(str(tmp_path / "numbers")).classes == ("9", "10", "100")
    assert data.load(str(tmp_path / "words")).classes == ("10", "a", "b")


def test_a_changed_image_or_name_is_noticed(folder: Path) -> None:
    before = data.load(str(folder)).sha256
    for part in ("train", "test"):
        (folder / part / "2").rename(folder / part / "3")
    renamed = data.load(str(folder)).sha256
    assert {part for part, digest in renamed.items() if digest != before[part]} == {"classes"}
    write_png(folder / "test" / "0" / "0000.png", np.zeros((28, 28), np.uint8))
    changed = data.load(str(folder)).sha256
    assert {part for part, digest in changed.items() if digest != renamed[part]} == {"test"}


def test_colours_palettes_and_bits_are_the_same_grey(folder: Path) -> None:
    before = data.load(str(folder))
    for path in folder.glob("train/0/*.png"):
        with Image.open(path) as image:
            image.convert("RGB").save(path)
    for path in folder.glob("train/1/*.png"):
        with Image.open(path) as image:
            image.convert("RGBA").save(path)
    for path in folder.glob("train/2/*.png"):
        with Image.open(path) as image:
            image.convert("P").save(path)
    np.testing.assert_array_equal(data.load(str(folder)).train.pixels, before.train.pixels)


# Four IDX files


@pytest.mark.parametrize(
    "names",
    ["{part}-{kind}-idx{dimensions}-ubyte", "{part}_{kind}.bin", "emnist-digits-{part}-{kind}-idx{dimensions}-ubyte"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_four_idx_files_are_a_dataset(names: str, packed: bool, tmp_path: Path, digits: data.Dataset) -> None:
    folder = idx_folder(tmp_path / "own", digits.train, digits.test, names)
    if packed:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    (folder / "train_labels.csv").write_text("file,label")
    found = data.load(str(folder))
    np.testing.assert_array_equal(found.train.pixels, digits.train.pixels)
    np.testing.assert_array_equal(found.test.labels, digits.test.labels)
    assert found.classes == digits.classes


def test_qmnist_s_labels_are_the_first_of_eight_numbers(tmp_path: Path, digits: data.Dataset) -> None:
    folder = idx_folder(tmp_path / "own", digits.train, digits.test)
    (folder / "train-labels-idx1-ubyte").unlink()
    rows = np.repeat(digits.train.labels[:, None], 8, axis=1).astype(">i4")
    rows[:, 1:] = 70_000
    (folder / "qmnist-train-labels-idx2-int").write_bytes(struct.pack(">3I", 0x0C02, *rows.shape) + rows.tobytes())
    np.testing.assert_array_equal(data.load(str(folder)).train.labels, digits.train.labels)


IDX_MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one missing": (
        lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(),
        "has IDX files .* and none of the test labels: add it",
    ),
    "two sets": (
        lambda folder: shutil.copy(folder / "train-images-idx3-ubyte", folder / "b-train-images-idx3-ubyte"),
        "has b-train-images-idx3-ubyte and train-images-idx3-ubyte, where one is enough",
    ),
    "other sizes": (
        lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 32, 30), np.int64))),
        "train-images-idx3-ubyte has images of 32 × 30 pixels, not 28 × 28: resize them first",
    ),
    "no images": (
        lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 28, 28), np.int64))),
        "holds nothing",
    ),
    "labels for images": (
        lambda folder: shutil.copy(folder / "train-labels-idx1-ubyte", folder / "train-images-idx3-ubyte"),
        "holds no images",
    ),
    "images for labels": (
        lambda folder: shutil.copy(folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"),
        "holds no labels",
    ),
    "counts": (
        lambda folder: shutil.copy(folder / "t10k-labels-idx1-ubyte", folder / "train-labels-idx1-ubyte"),
        "holds 12 images, and train-labels-idx1-ubyte 6 labels: they do not belong together",
    ),
    "truncated": (
        lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x0803, 2**31, 28, 28)),
        "holds 16 bytes, and its header says 1,683,627,180,048: replace it",
    ),
    "a web page": (
        lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"<html>"),
        "is a web page and not the file itself",
    ),
    "a damaged archive": (
        lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\x1f\x8b\x08rest"),
        "is a damaged archive",
    ),
    "empty": (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b""), "is empty"),
    "a class never tested": (
        lambda folder: (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(6, np.int64))),
        "has no test image of class 1: add some, or remove the class",
    ),
}


@pytest.mark.parametrize("mistake", IDX_MISTAKES)
def test_a_mistake_in_idx_files_is_one_line(mistake: str, tmp_path: Path, digits: data.Dataset) -> None:
    folder = idx_folder(tmp_path / "own", some(digits.train, 4, 3), some(digits.test, 2, 3))
    change, words = IDX_MISTAKES[mistake]
    change(folder)
    with pytest.raises(DataDamaged, match=words) as caught:
        data.load(str(folder))
    assert "\n" not in str(caught.value)


# Folders of PNG files


def remove(folder: Path, pattern: str) -> None:
    for path in list(folder.glob(pattern)):
        shutil.rmtree(path)


def resized(folder: Path) -> None:
    write_png(folder / "train" / "1" / "x.png", np.zeros((32, 28), np.uint8))


def deep(folder: Path) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint16)).save(folder / "train" / "1" / "x.png")


def transparent(folder: Path) -> None:
    Image.new("RGBA", (28, 28), (0, 0, 0, 100)).save(folder / "train" / "1" / "x.png")


def cut(folder: Path) -> None:
    path = folder / "train" / "1" / "0004.png"
    path.write_bytes(path.read_bytes()[:80])


def bomb(folder: Path) -> None:
    """A text that unpacks to 100 MB, in a PNG of the right size."""
    path = folder / "train" / "1" / "0004.png"
    content = path.read_bytes()
    body = b"zTXt" + b"note\0\0" + zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:33] + chunk + content[33:])


def wide(folder: Path) -> None:
    path = folder / "train" / "1" / "0004.png"
    content = path.read_bytes()
    path.write_bytes(content[:16] + struct.pack(">2I", 2**31 - 1, 2**31 - 1) + content[24:])


def labels(folder: Path, text: str) -> None:
    relist(folder)
    with (folder / "labels.csv").open("a", encoding="utf-8") as file:
        file.write(text)


def replaced(folder: Path, text: str) -> None:
    relist(folder)
    (folder / "labels.csv").write_text(text, encoding="latin-1")


PNG_MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda folder: remove(folder, "*"), "holds no dataset: it needs four"),
    "no test folder": (lambda folder: shutil.rmtree(folder / "test"), "has no folder test beside .*train: add it"),
    "no training folder": (lambda folder: shutil.rmtree(folder / "train"), "has no folder train beside .*test: add it"),
    "an empty class": (
        lambda folder: (folder / "train" / "7").mkdir(),
        "train/7 is the folder of a class and holds no",
    ),
    "a class never tested": (lambda folder: shutil.rmtree(folder / "test" / "1"), "has no test image of class 1: add"),
    "a class never trained": (lambda folder: shutil.rmtree(folder / "train" / "1"), "has no training image of class 1"),
    "one class": (
        lambda folder: remove(folder, "*/[12]"),
        r"has 1 class\(es\), and 2 to 256 can be told apart",
    ),
    "another size": (resized, r"x\.png has 28 × 32 pixels, not 28 × 28: resize all images to that first"),
    "a huge size": (wide, "has 2,147,483,647 × 2,147,483,647 pixels, not 28 × 28"),
    "16 bits": (deep, r"x\.png has 16 bits a sample: save all images with 8"),
    "transparent": (transparent, r"x\.png is transparent in places: save it with a background"),
    "truncated": (cut, r"0004\.png is a damaged PNG \(.*\): replace it"),
    "a bomb": (bomb, r"0004\.png is a damaged PNG \(.*too large.*\): replace it"),
    "no PNG": (lambda folder: (folder / "train" / "1" / "x.png").write_bytes(b"GIF89a"), r"x\.png is no PNG, whatever"),
    "a pointer": (
        lambda folder: (folder / "train" / "1" / "x.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        r"x\.png is a Git LFS pointer",
    ),
    "a JPEG": (
        lambda folder: (folder / "train" / "1" / "x.jpg").write_bytes(b""),
        r"x\.jpg is not a PNG, and no other",
    ),
    "a folder too deep": (
        lambda folder: (folder / "train" / "1" / "more").mkdir(),
        "more is a folder in that of a class",
    ),
    "a link to a file": (
        lambda folder: (folder / "train" / "1" / "x.png").symlink_to(folder / "train" / "0" / "0000.png"),
        r"x\.png cannot be read: it is a link, and none is followed here",
    ),
    "a link to a folder": (
        lambda folder: (folder / "train" / "9").symlink_to(folder / "train"),
        "9 is a link, and none is followed here",
    ),
    "a pipe": (lambda folder: os.mkfifo(folder / "train" / "1" / "x.png"), r"x\.png cannot be read: it is no regular"),
    "a comma": (
        lambda folder: (folder / "train" / "1").rename(folder / "train" / "1,5"),
        "has a class '1,5': use names",
    ),
    "an escape": (lambda folder: (folder / "train" / "1").rename(folder / "train" / "\x1b[2J"), "has a class '\ufffd"),
    "a long name": (
        lambda folder: (folder / "train" / "1").rename(folder / "train" / ("x" * 61)),
        "use names of 1 to 60",
    ),
    "no list": (lambda folder: replaced(folder, "name;class\n"), "labels.csv begins with 'name;class', not file,label"),
    "not UTF-8": (lambda folder: replaced(folder, "file,label\n0.png,\xe9\n"), "labels.csv is not UTF-8"),
    "a bad list": (
        lambda folder: replaced(folder, 'file,label\n"0.png"x,1\n'),
        "is not a list of comma-separated values",
    ),
    "a missing file": (
        lambda folder: labels(folder, "\nx.png,1,train"),
        "line 20 names 'x.png', which is not there: add",
    ),
    "outside": (lambda folder: labels(folder, "\n../x.png,1,train"), "line 20 names '../x.png', which is not in this"),
    "absolute": (lambda folder: labels(folder, "\n/etc/x.png,1,train"), "line 20 names '/etc/x.png', which is not in"),
    "twice": (lambda folder: labels(folder, "\n0.png,1,train"), "line 20 names '0.png' as line 2 does"),
    "fields": (lambda folder: labels(folder, "\n0.png,1"), "line 20 has 2 fields, not 3"),
    "a split": (lambda folder: labels(folder, "\nx.png,1,val"), "line 20 has the split 'val': write train or test"),
}


@pytest.mark.parametrize("mistake", PNG_MISTAKES)
def test_a_mistake_in_a_folder_is_one_line(mistake: str, folder: Path) -> None:
    change, words = PNG_MISTAKES[mistake]
    change(folder)
    with pytest.raises((DataDamaged, DataUnavailable), match=words) as caught:
        data.load(str(folder))
    assert str(caught.value).isprintable()


def test_too_few_images_to_split_are_counted(tmp_path: Path, digits: data.Dataset) -> None:
    write_folders(tmp_path / "own", some(digits.train, 5, 3), digits.classes)
    with pytest.raises(DataDamaged, match=r"has no test set and 5 image\(s\) of class 0, too few to keep one in 6"):
        data.load(str(tmp_path / "own"))


def test_no_more_files_and_bytes_are_read_than_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MOST_IMAGES", 10)
        with pytest.raises(DataDamaged, match="holds more than 10 images: put them into four IDX files"):
            data.load(str(folder))
        patch.setattr(limits, "MOST_IMAGES", 1)
        with pytest.raises(DataDamaged, match="own holds more than 1 files: no dataset does"):
            data.load(str(folder))
    path = folder / "train" / "0" / "0000.png"
    path.write_bytes(path.read_bytes() + bytes(limits.IMAGE_BYTES))
    with pytest.raises(DataUnavailable, match=r"0000\.png cannot be read: it is larger than 1 MiB"):
        data.load(str(folder))


@pytest.mark.parametrize("at", range(0, 200, 3))
def test_whatever_is_wrong_in_a_png_is_one_line(at: int, folder: Path) -> None:
    path = folder / "train" / "0" / "0000.png"
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 0x55
    path.write_bytes(content)
    said = ""
    try:
        assert _png.pixels(path).shape == (28, 28)
    except DataDamaged as error:
        said = str(error)
    assert said.isprintable()


# Where it is, and what fits


def test_a_dataset_that_was_moved_is_found_beside_a_data_dir(folder: Path, tmp_path: Path) -> None:
    before = data.load(str(folder))
    (tmp_path / "elsewhere").mkdir()
    folder.rename(tmp_path / "elsewhere" / "own")
    with pytest.raises(
        DataUnavailable, match=r"the folder of images .*own is not there: put it back, or give --data-dir"
    ):
        data.load(str(folder))
    after = data.load(str(folder), tmp_path / "elsewhere")
    assert (after.name, after.sha256) == (before.name, before.sha256)
    assert after.origin == str(tmp_path / "elsewhere" / "own")


def test_more_classes_than_outputs_are_refused(tmp_path: Path, digits: data.Dataset) -> None:
    names = tuple("abcdefghij")
    write_folders(tmp_path / "own", some(digits.train, 6), names)
    write_folders(tmp_path / "own", some(digits.train, 6, 1), ("k",))
    assert len(data.load(str(tmp_path / "own")).classes) == 11
    with pytest.raises(
        BadInput, match="…/own has 11 classes, and the network has 10 outputs: use a dataset of at most"
    ):
        data.load(str(tmp_path / "own"), outputs=10)


def test_classes_are_numbered_as_a_network_s_by_their_names(tmp_path: Path, digits: data.Dataset) -> None:
    images = digits.train.take(np.flatnonzero((digits.train.labels == 7) | (digits.train.labels == 3))[:60])
    write_folders(tmp_path / "own", images, digits.classes)
    found = data.load(str(tmp_path / "own"))
    assert (set(found.train.labels.tolist()), found.classes) == ({0, 1}, ("3", "7"))
    renumbered = found.with_classes_of(digits.classes)
    assert (set(renumbered.train.labels.tolist()), renumbered.classes) == ({3, 7}, digits.classes)
    assert renumbered.sha256 == found.sha256
    assert found.with_classes_of(("a", "b")) is found
    assert digits.with_classes_of(digits.classes) is digits


def test_too_few_images_to_hold_out_are_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="…/own has 12 training images, too few to hold one in 12 out"):
        data.training_and_validation(data.load(str(folder)), "holdout")
