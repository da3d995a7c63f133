"""Every format: complete, self-contained, impersonal, the same twice, for any batch size."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from mnist_bench import data, formats, runtimes, store
from mnist_bench.core.architecture import PARAMETERS
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Artifact, Manifest
from mnist_bench.formats import c
from tests.conftest import Run

KINDS = [(name, kind) for name in formats.names() if name != "web" for kind in formats.precisions(name)]  # test_web.py
READERS = {runtimes.load(name).FORMAT: name for name in runtimes.names() if name != "onnx-reference"}
"""A runtime for each format; none opens a project in C++, which tests/hosts/test_cpp.py builds."""
SIZES = {"fp32": 2_150_000, "fp16": 1_080_000, "int8": 560_000, "int8-dynamic": 550_000}


def artifact(folder: Path, name: str, precision: Precision = "fp32") -> Artifact:
    manifest = store.load(folder, Manifest)
    assert manifest
    found = [entry for entry in manifest.artifacts if (entry.format, entry.precision) == (name, precision)]
    if not found:
        pytest.skip(f"{name} cannot be written here")
    return found[0]


def parts(path: Path) -> dict[str, bytes]:
    """Return what is in a file, or in a folder: of an archive, every entry unpacked."""
    if path.is_dir():
        return {one.name: one.read_bytes() for one in path.iterdir()}
    if not zipfile.is_zipfile(path):
        return {path.name: path.read_bytes()}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.processors
@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_the_manifest_tells_the_truth(name: str, precision: Precision, exported: Path) -> None:
    entry = artifact(exported, name, precision)
    path = exported / entry.name
    files = store.saved_files(path) if path.is_dir() else ()
    digest = store.digest_of_list(files) if files else sha256_of_file(path)
    assert (entry.sha256, entry.size_bytes) == (
        digest,
        sum(map(len, parts(path).values())) if files else path.stat().st_size,
    )
    checkpoint = store.load_record(exported).checkpoint
    assert checkpoint
    assert entry.weights_sha256 == checkpoint.weights.sha256
    assert not list(exported.glob(".*.tmp*"))


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_files_are_as_small_as_their_weights(name: str, precision: Precision, exported: Path) -> None:
    size = artifact(exported, name, precision).size_bytes
    if name == "aotinductor":
        assert size < 6_000_000
    elif name == "c":  # in words, of which a number takes some: hexadecimal, so that it is exact
        assert size < (25 if precision == "fp32" else 6) * PARAMETERS
    else:
        assert 0.97 * SIZES[precision] < size < 1.03 * SIZES[precision]


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_no_file_holds_local_paths_or_test_images(
    name: str, precision: Precision, exported: Path, digits: data.Dataset
) -> None:
    local = [str(Path.home()), str(exported.parent), sys.prefix, str(Path(formats.__file__).parent.parent)]
    images = data.to_input(digits.test.pixels)
    for entry, content in parts(exported / artifact(exported, name, precision).name).items():
        for path in local:
            assert path.encode() not in content, (entry, path)
        for image in images[:50]:
            assert image.tobytes() not in content


DIFFERENT = ("aotinductor", "ort-fixed", "ort-runtime")
"""What compilers, and ONNX Runtime's writer, put in another order every time."""


@pytest.mark.parametrize(("name", "precision"), [kind for kind in KINDS if kind[0] not in DIFFERENT])
def test_two_exports_are_equal_byte_for_byte(name: str, precision: Precision, exported: Path, own_copy: Path) -> None:
    before = artifact(exported, name, precision)
    again = formats.export(own_copy, store.load_record(own_copy), name, precision=precision)
    assert isinstance(again, Artifact)
    assert again.sha256 == before.sha256


@pytest.mark.processors
@pytest.mark.parametrize("batch", [1, 2, 7, 128, 10_000])
@pytest.mark.parametrize(("name", "precision"), [kind for kind in KINDS if kind[0] in READERS])
def test_any_batch_size_runs(name: str, precision: Precision, batch: int, exported: Path, digits: data.Dataset) -> None:
    entry = artifact(exported, name, precision)
    assert entry.batch == (1 if name == "ncnn" else None)
    images = np.resize(data.to_input(digits.test.pixels), (batch, 1, 28, 28))
    model = runtimes.Model(store.contents(exported, entry), name, precision, "relu")
    with runtimes.load(READERS[name]).open(model, runtimes.Spec()) as session:
        logits = session.run(images)
    assert logits.shape == (batch, 10)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("words", ["*/", "**//", "*/*/", "***///", "a*/b"])
def test_a_class_s_name_does_not_end_a_comment(words: str) -> None:
    assert "*/" not in c._in_a_comment(words)


def test_onnx_tells_what_it_is(exported: Path) -> None:
    entry = artifact(exported, "onnx")
    model = onnx.load(exported / entry.name)
    metadata = {item.key: item.value for item in model.metadata_props}
    assert metadata["classes"] == "0,1,2,3,4,5,6,7,8,9"
    assert metadata["normalisation"].startswith("pixels / 255")
    assert metadata["run"] == "digits-relu"
    assert metadata["weights_sha256"] == entry.weights_sha256
    assert metadata["trained_with.torch"]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "logits"]
    assert entry.version == f"opset {model.opset_import[0].version}"


def test_int8_keeps_its_last_layer_in_float(exported: Path) -> None:
    graph = onnx.load(exported / artifact(exported, "onnx", "int8").name).graph
    stored = {weight.name: weight.data_type for weight in graph.initializer}
    last = [node for node in graph.node if node.op_type == "Gemm"][-1]
    assert stored[last.input[1]] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_int8_cannot_saturate_in_16_bits(precision: Precision, exported: Path) -> None:
    entry = artifact(exported, "onnx", precision)
    assert entry.saturation
    assert entry.saturation.fits_16_bits
    for weight in onnx.load(exported / entry.name).graph.initializer:
        if weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) == 2:
            assert np.abs(onnx.numpy_helper.to_array(weight).astype(int)).max() <= 64
    assert artifact(exported, "onnx").saturation is None


def test_an_opset_can_be_chosen(own_copy: Path) -> None:
    done = formats.export(own_copy, store.load_record(own_copy), "onnx", opset=18)
    assert isinstance(done, Artifact)
    assert done.version == "opset 18"


def test_an_export_that_fails_leaves_no_half_file_and_the_old_one(own_copy: Path) -> None:
    before = {path: path.read_bytes() for path in own_copy.rglob("*") if path.is_file()}
    with pytest.raises(ChildFailed, match="cannot write opset 9999"):
        formats.export(own_copy, store.load_record(own_copy), "onnx", opset=9_999)
    assert {path: path.read_bytes() for path in own_copy.rglob("*") if path.is_file()} == before


def test_a_format_refuses_a_precision_that_it_cannot_hold(own_copy: Path) -> None:
    with pytest.raises(BadInput, match="torch-export cannot hold int8: choose from fp32"):
        formats.export(own_copy, store.load_record(own_copy), "torch-export", precision="int8")


def test_without_a_compiler_aotinductor_is_skipped_with_the_remedy(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = formats.export(own_copy, store.load_record(own_copy), "aotinductor")
    assert isinstance(done, Skipped)
    assert "install g++" in done.remedy


def test_torchscript_is_skipped_where_torch_calls_it_unsupported(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    done = formats.export(own_copy, store.load_record(own_copy), "torchscript")
    assert isinstance(done, Skipped)
    assert "torch-export" in done.remedy


# The command


def test_the_command_exports_the_newest_run(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (own_copy / "manifest.json").unlink()
    assert run("export", "--format", "torch-export") == 0
    assert "model.pt2" in capsys.readouterr().out
    manifest = json.loads((own_copy / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["artifacts"]] == ["model.pt2"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "tensorflow"], 2, "no 'tensorflow' among the formats"),
        (["--format", "torchscript", "--precision", "int8"], 2, "torchscript cannot hold int8"),
        (
            ["--format", "onnx", "--opset", "9999"],
            2,
            "1 of 1 exports failed: onnx fp32: the exporter cannot write opset 9999",
        ),
        (["--format", "onnx", "--run", "ghost"], 2, "no run 'ghost'"),
        (["--format", "onnx", "--device", "cuda:99"], 3, "device 'cuda:99' is not available"),
        ([], 2, "--format"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], code: int, words: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "-q", *arguments) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
