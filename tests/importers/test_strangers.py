"""What a file is, told from its content: of models the kind, of all others what they are and what to do."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from mnist_bench import importers
from mnist_bench.core import limits
from mnist_bench.core.errors import ModelRefused
from tests.importers import made


def archive(**entries: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name, content in entries.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return written.getvalue()


def tar() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        info = tarfile.TarInfo("model.onnx")
        info.size = 3
        file.addfile(info, io.BytesIO(b"abc"))
    return written.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 2678534\n"
STRANGERS = {
    "empty": (b"", "is empty"),
    "a pointer": (POINTER, "Git LFS pointer to a file of 2,678,534 bytes.*git lfs pull"),
    "a page": (b"\n<!DOCTYPE html><html>", "page of HTML.*download the raw file"),
    "JSON": (json.dumps({"a": 1}).encode(), "is JSON"),
    "text": (b"epoch,loss\n1,0.5\n", "is text"),
    "text of other letters": ("épreuve\n".encode() * 1000, "is text"),
    "gzip": (gzip.compress(b"abc"), "packed by gzip: unpack it"),
    "tar": (tar(), "tar archive"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(20), "PNG image"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5.*model.save"),
    "an array": (b"\x93NUMPY\x01\x00" + bytes(20), "NumPy array"),
    "TFLite": (bytes(4) + b"TFL3" + bytes(20), "TFLite.*tf2onnx"),
    "a pickle": (b"\x80\x04\x95" + bytes(20) + b".", "is a pickle, which runs code.*skops"),
    "joblib": (b"x\x9c" + bytes(20), "joblib does with a pickle"),
    "XML": (b'<?xml version="1.0"?>\n<net>', "is XML"),
    "ncnn": (b"7767517\n3 3\n", "network of ncnn"),
    "a program": (b"\x7fELF" + bytes(20), "machine code"),
    "a graph of TensorFlow": (b"\x08\x01\x12\x80\x01" + b"Placeholder" + bytes(200), "graph of TensorFlow"),
    "noise": (np.random.default_rng(0).bytes(1000), "no kind that is known here"),
    "another archive": (
        archive(a_dot_txt=b"a", b_dot_txt=b"b", c=b"", d=b""),
        r"zip archive.*\(a.txt, b.txt, c and 1 more\)",
    ),
    "an archive with a model": (
        archive(a=b"", b=b"", c=b"", d__net_dot_ONNX=b"a"),
        r"zip archive with d/net.ONNX in it",
    ),
    "an archive that breaks off": (archive(code__a=bytes(500))[:200], "end is missing.*download it again"),
    "an archive of nothing": (b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(4), "damaged archive"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_model_is_told(name: str) -> None:
    content, said = STRANGERS[name]
    with pytest.raises(ModelRefused, match=f"^model.bin {said}" if said.startswith("is") else said) as refused:
        importers.kind_of(Path("model.bin"), content)
    assert "\n" not in str(refused.value)


KINDS = {
    "onnx": made.network(),
    "safetensors": save(made.arrays()),
    "ort": b"\x18\x00\x00\x00ORTM" + bytes(20),
    "torchscript": archive(model__code__a_dot_py=b"", model__data_dot_pkl=b""),
    "torch-export": archive(model__models__model_dot_json=b"{}"),
    "aotinductor": archive(model__data__aotinductor__model_dot_so=b"", model__models__model_dot_json=b""),
    "state-dict": archive(weights__data_dot_pkl=b"", weights__version=b"3"),
    "scikit-learn": archive(schema_dot_json=b"{}"),
    "keras": archive(config_dot_json=b"{}", metadata_dot_json=b"{}", model_dot_weights_dot_h5=b""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_from_its_content(kind: str) -> None:
    assert importers.kind_of(Path("model"), KINDS[kind]) == kind


def test_every_importer_has_a_file_above() -> None:
    assert set(KINDS) == set(importers.names())


@pytest.mark.parametrize(("kind", "said"), [("onnx", "1,2.. bytes or more"), ("safetensors", "the last 1,234 bytes")])
def test_a_download_that_broke_off_says_how_much_is_missing(kind: str, said: str) -> None:
    with pytest.raises(ModelRefused, match=f"{said} are missing: download it again"):
        importers.kind_of(Path("model"), KINDS[kind][:-1234])


def test_safetensors_that_end_within_their_header() -> None:
    with pytest.raises(ModelRefused, match="ends within its list"):
        importers.kind_of(Path("model"), KINDS["safetensors"][:100])


@pytest.mark.parametrize(
    "content",
    [
        b"\x08" * 1000,
        b"\x08\x01" * 200_000,
        b"\xff" * 100,
        (3).to_bytes(8, "little") + b"{}]",
        (200_000).to_bytes(8, "little") + b"{" + b'"a":{' * 33_000 + bytes(10_000),
        (16).to_bytes(8, "little") + b'{"a": [1, 2, 3]}',
        b"PK\x03\x04" + b"PK\x01\x02" * 20_000 + b"PK\x05\x06",
    ],
)
def test_hostile_bytes_are_refused_in_a_line(content: bytes) -> None:
    with pytest.raises(ModelRefused) as refused:
        importers.kind_of(Path("model"), content)
    assert "\n" not in str(refused.value)


def test_an_archive_that_unpacks_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", bytes(3 * limits.MIB))
    monkeypatch.setattr(limits, "MODEL_BYTES", 2 * limits.MIB)
    assert len(written.getvalue()) < limits.MIB
    with pytest.raises(ModelRefused, match="unpacks to 3 MiB"):
        importers.kind_of(Path("model"), written.getvalue())


def test_names_of_strangers_do_not_steer_the_screen() -> None:
    with pytest.raises(ModelRefused) as refused:
        importers.kind_of(Path("model"), archive(**{"\x1b[2Jx": b""}))
    assert "\x1b" not in str(refused.value)


def test_content_is_of_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelRefused, match="cannot be read"):
        importers.content(tmp_path / "none")
    with pytest.raises(ModelRefused, match="is a folder: give the model's file"):
        importers.content(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"TensorFlow SavedModel.*tf2onnx"):
        importers.content(tmp_path)
    (tmp_path / "large").write_bytes(bytes(3 * limits.MIB))
    monkeypatch.setattr(limits, "MODEL_BYTES", 2 * limits.MIB)
    with pytest.raises(ModelRefused, match="has 3 MiB, and 2 MiB are read at most"):
        importers.content(tmp_path / "large")
