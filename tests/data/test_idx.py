import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import DataDamaged
from mnist_bench.data._idx import Digests, IdxSource

SHAPES = {
    "train-images-idx3-ubyte": (6, 28, 28),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (4, 28, 28),
    "t10k-labels-idx1-ubyte": (4,),
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


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
        (lambda content: b"<html>", "starts with 3c68746d"),
        (lambda content: b"", "is empty"),
    ],
    ids=["one bit", "truncated", "longer", "magic", "a web page", "empty"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_wrong_bytes_are_named_and_never_used(damage, complaint, packed, source, raw, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (raw / IMAGES).write_bytes(damage((raw / IMAGES).read_bytes()))
    if packed:
        pack(raw, IMAGES)
    with pytest.raises(DataDamaged, match=rf"{IMAGES}.*{complaint}"):
        source.load(tmp_path)


def test_swapped_files_are_named(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    images, labels = (raw / IMAGES).read_bytes(), (raw / LABELS).read_bytes()
    (raw / IMAGES).write_bytes(labels)
    (raw / LABELS).write_bytes(images)
    with pytest.raises(DataDamaged, match=f"{IMAGES} starts with 00000801"):
        source.load(tmp_path)


def test_training_and_test_images_swapped_are_named(source: IdxSource, raw: Path, tmp_path: Path) -> None:
    (raw / IMAGES).write_bytes((raw / "t10k-images-idx3-ubyte").read_bytes())
    with pytest.raises(DataDamaged, match=IMAGES):
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
