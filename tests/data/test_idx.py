import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.core import limits
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import DataDamaged, DataUnavailable
from mnist_bench.data import _complaints, _find
from mnist_bench.data._find import Digests
from mnist_bench.data._idx import IdxSource

SHAPES = {
    "train-images-idx3-ubyte": (6, 28, 28),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (4, 28, 28),
    "t10k-labels-idx1-ubyte": (4,),
}
IMAGES, LABELS, TEST_IMAGES = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"


def idx(values: NDArray[np.int64]) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture
def files() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    return {name: idx(random.integers(0, 10, shape)) for name, shape in SHAPES.items()}


@pytest.fixture
def source(files: dict[str, bytes]) -> IdxSource:
    digests = {name: Digests(sha256(content)) for name, content in files.items()}
    return IdxSource("tiny", "Tiny", tuple("0123456789"), digests, SHAPES)


@pytest.fixture
def raw(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "Tiny" / "raw"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def pack(raw: Path, *names: str) -> None:
    for name in names:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()


def test_archives_and_unpacked_files_are_alike(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    unpacked = source.load(tmp_path)
    pack(raw, *SHAPES)
    packed = source.load(tmp_path)
    assert unpacked.train.pixels.shape == (6, 28, 28)
    assert unpacked.test.labels.shape == (4,)
    assert unpacked.sha256 == packed.sha256
    np.testing.assert_array_equal(unpacked.train.pixels, packed.train.pixels)


def test_a_read_only_folder_is_enough_and_stays_as_it_is(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    pack(raw, IMAGES)
    before = {path.name: path.stat().st_mtime_ns for path in raw.iterdir()}
    raw.chmod(0o555)
    try:
        source.load(tmp_path)
    finally:
        raw.chmod(0o755)
    assert {path.name: path.stat().st_mtime_ns for path in raw.iterdir()} == before


def altered(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (altered, "does not hold the bytes of tiny"),
        (lambda content: content[:-1], "holds 4,719 bytes unpacked, not 4,720"),
        (lambda content: content + b"x", "holds 4,721 bytes unpacked"),
        (lambda content: b"\0\0\x08\x01" + content[4:], "starts with 00000801, not 00000803"),
        (lambda content: b"surprise", "starts with 73757270, not 00000803: it is another kind of file"),
        (lambda content: b" \n<!DOCTYPE html><html>", "is a web page and not the file itself"),
        (
            lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
            "is a Git LFS pointer.*git lfs pull",
        ),
        (lambda content: b"PK\x03\x04rest", "is a zip archive: unpack it"),
        (lambda content: b"", "is empty"),
    ],
    ids=["one bit", "truncated", "longer", "magic", "anything", "a web page", "an LFS pointer", "a zip", "empty"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_wrong_bytes_are_named_and_never_used(damage, complaint, packed, source, raw, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (raw / IMAGES).write_bytes(damage((raw / IMAGES).read_bytes()))
    if packed:
        pack(raw, IMAGES)
    with pytest.raises(DataDamaged, match=rf"{IMAGES}.*{complaint}"):
        source.load(tmp_path)


def test_the_images_of_the_other_part_are_named(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    (raw / IMAGES).write_bytes((raw / TEST_IMAGES).read_bytes())
    with pytest.raises(DataDamaged, match=f"{IMAGES} holds what belongs into {TEST_IMAGES}"):
        source.load(tmp_path)


def swap(raw: Path, one: str, other: str) -> None:
    (raw / one).rename(raw / "third")
    (raw / other).rename(raw / one)
    (raw / "third").rename(raw / other)


def rename(raw: Path, change: Callable[[str], str]) -> None:
    for name in SHAPES:
        (raw / name).rename(raw / change(name))


def pack_as(raw: Path, change: Callable[[str], str]) -> None:
    pack(raw, *SHAPES)
    for name in SHAPES:
        (raw / f"{name}.gz").rename(raw / f"{change(name)}.gz")


def pack_in_place(raw: Path) -> None:
    for name in SHAPES:
        (raw / name).write_bytes(gzip.compress((raw / name).read_bytes()))


NAMES: dict[str, Callable[[Path], object]] = {
    "dots": lambda raw: rename(raw, lambda name: name.replace("-idx", ".idx")),
    "other names": lambda raw: rename(raw, lambda name: f"my {name[::-1]}.bin"),
    "swapped": lambda raw: swap(raw, IMAGES, LABELS),
    "packed, with dots": lambda raw: pack_as(raw, lambda name: name.replace("-idx", ".idx")),
    "packed, other names": lambda raw: pack_as(raw, lambda name: name[:7]),
    "packed, and called as if not": pack_in_place,
    "not packed, and called as if": lambda raw: rename(raw, lambda name: f"{name}.gz"),
    "one of them elsewhere in the folder": lambda raw: (raw / IMAGES).rename(raw / "images.idx"),
    "a wrong one beside it": lambda raw: ((raw / IMAGES).rename(raw / "x"), (raw / IMAGES).write_bytes(b"<html>")),
}


@pytest.mark.parametrize("folder", ["Tiny/raw", "", "raw"])
@pytest.mark.parametrize("called", NAMES)
def test_bytes_decide_and_names_need_not(
    called: str, folder: str, source: IdxSource, raw: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    NAMES[called](raw)
    root = tmp_path / "given"
    (root / folder).parent.mkdir(parents=True, exist_ok=True)
    raw.rename(root / folder)
    found = source.load(root, download=False)
    assert found.sha256 == {name: sha256(content) for name, content in files.items()}
    assert found.origin == str(root / folder)
    assert found.train.pixels.tobytes() == files[IMAGES][16:]
    assert found.test.labels.tobytes() == files["t10k-labels-idx1-ubyte"][8:]


def test_a_folder_of_anything_else_is_none(source: IdxSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of the right size").write_bytes(bytes(16 + 6 * 784))
    (tmp_path / "packed.gz").write_bytes(b"\x1f\x8b no archive")
    (tmp_path / ".hidden").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(DataUnavailable, match="tiny is not on this machine"):
        source.load(tmp_path, download=False)


def test_a_file_that_is_too_large_is_not_read(
    source: IdxSource, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DATASET_BYTES", 6 * 784)  # that of the images has a header besides
    with pytest.raises(DataUnavailable, match=f"{IMAGES} cannot be read: it is larger than 0 MiB; replace it"):
        source.load(tmp_path)


def test_a_pipe_in_a_file_s_place_is_none(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    (raw / IMAGES).unlink()
    os.mkfifo(raw / IMAGES)
    with pytest.raises(DataDamaged, match=f"{IMAGES} is missing"):
        source.load(tmp_path)


def test_no_more_of_a_folder_is_looked_at_than_is_allowed(
    source: IdxSource, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(raw, lambda name: f"z{name[::-1]}")
    monkeypatch.setattr(_find, "MOST_ENTRIES", 3)
    with pytest.raises(DataDamaged, match="is missing"):  # three are found
        source.load(tmp_path, download=False)
    monkeypatch.setattr(_find, "MOST_ENTRIES", 4)
    for number in range(_find.MOST_ALIKE):
        (raw / f"a{number}").write_bytes(bytes(16 + 6 * 784))
    monkeypatch.setattr(_find, "MOST_ENTRIES", 100)
    with pytest.raises(DataDamaged, match="is missing"):
        source.load(tmp_path, download=False)


def test_another_dataset_of_ours_is_named(
    source: IdxSource, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {name: idx(np.full(shape, 3)) for name, shape in SHAPES.items()}
    digests = {name: Digests(sha256(content)) for name, content in theirs.items()}
    other = IdxSource("fashion", "FashionMNIST", tuple("0123456789"), digests, SHAPES)
    monkeypatch.setattr(_complaints, "_ours", lambda: iter([other]))
    for name, content in theirs.items():
        (raw / name).write_bytes(content)
    with pytest.raises(DataDamaged, match="raw holds FashionMNIST's files: use --dataset fashion, or give another"):
        source.load(tmp_path)


def test_the_other_datasets_of_ours_are_known() -> None:
    assert {one.name for one in _complaints._ours()} == {"mnist", "fashion", "kmnist"}


@pytest.mark.parametrize(
    ("name", "title", "way_out"),
    [
        ("emnist-digits-train-images-idx3-ubyte.gz", "EMNIST", r"--dataset \S+ to use these as they are"),
        ("qmnist-train-images-idx3-ubyte", "QMNIST", r"--dataset \S+ to use these as they are"),
        ("xnist-images-idx3-ubyte.xz", "QMNIST", "give --data-dir with the files of tiny"),
        ("kmnist-train-images-idx3-ubyte.gz", "KMNIST", "--dataset kmnist"),
        ("fashion-train-images-idx3-ubyte", "FashionMNIST", "--dataset fashion"),
    ],
)
@pytest.mark.parametrize("place", ["", "raw"])
def test_files_called_as_another_dataset_s_are_named(
    name: str, title: str, way_out: str, place: str, source: IdxSource, tmp_path: Path
) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / name).write_bytes(b"anything")
    with pytest.raises(DataDamaged, match=rf"holds files of {title} \({name}\), not of tiny: .*{way_out}"):
        source.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        (IMAGES, struct.pack(">4I", 0x0803, 240_000, 28, 28), "EMNIST's digits"),
        (LABELS, struct.pack(">2I", 0x0801, 124_800), "EMNIST's letters"),
        (LABELS, struct.pack(">3I", 0x0C02, 60_000, 8), "QMNIST's"),
    ],
)
def test_another_dataset_is_known_by_its_numbers(
    name: str, content: bytes, title: str, source: IdxSource, raw: Path, tmp_path: Path
) -> None:
    (raw / name).write_bytes(content)
    with pytest.raises(DataDamaged, match=f"{name} is not of tiny but {title}: give --data-dir"):
        source.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 20, -1])
def test_a_truncated_archive_is_named(keep: int, source: IdxSource, raw: Path, tmp_path: Path) -> None:
    pack(raw, IMAGES)
    archive = raw / f"{IMAGES}.gz"
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataDamaged, match=IMAGES):
        source.load(tmp_path)


def test_a_missing_file_beside_others_is_named(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    (raw / LABELS).unlink()
    with pytest.raises(DataDamaged, match=f"{LABELS} is missing"):
        source.load(tmp_path)


def test_where_only_the_archive_s_sum_is_known_the_archive_is_what_counts(raw: Path, tmp_path: Path) -> None:
    pack(raw, *SHAPES)
    archives = {name: Digests(archive=sha256((raw / f"{name}.gz").read_bytes())) for name in SHAPES}
    source = IdxSource("tiny", "Tiny", tuple("0123456789"), archives, SHAPES)
    expected = source.load(tmp_path)
    (raw / IMAGES).write_bytes(b"an unpacked file that nobody can check")
    np.testing.assert_array_equal(source.load(tmp_path).train.pixels, expected.train.pixels)
    (raw / f"{IMAGES}.gz").unlink()
    with pytest.raises(DataDamaged, match="cannot be checked without"):
        source.load(tmp_path)


def test_a_repacked_archive_is_refused_where_its_sum_is_what_is_known(raw: Path, tmp_path: Path) -> None:
    pack(raw, *SHAPES)
    source = IdxSource(
        "tiny", "Tiny", tuple("0123456789"), {name: Digests(archive="0" * 64) for name in SHAPES}, SHAPES
    )
    with pytest.raises(DataDamaged, match="is not the published file"):
        source.load(tmp_path)
