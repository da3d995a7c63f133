"""Copies of verified ONNX files that carry the verdict."""

import hashlib
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.analysis import stamp
from mnist_bench.core import onnx_stamp
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.types import Manifest, ParityRecord
from tests.conftest import Run

QUICK = ("verify", "--batch-size", "128", "--threads", "1", "--runtime", "onnxruntime", "-q")


@pytest.fixture
def own_copy(light: Path, tmp_path: Path) -> Path:
    """A run that has its ONNX files alone, where the command line finds it."""
    return Path(shutil.copytree(light, tmp_path / "exports" / "digits-relu"))


def logits(path: Path) -> object:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((7, 1, 28, 28), np.float32)
    return session.run(None, {session.get_inputs()[0].name: images})[0].tobytes()


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_that_passed_is_copied_with_the_verdict(precision: str, own_copy: Path, run: Run) -> None:
    before = {path.name: path.read_bytes() for path in own_copy.glob("model*")}
    assert run(*QUICK, "--precision", precision, "--stamp", "stamped.onnx") == 0
    assert {path.name: path.read_bytes() for path in own_copy.glob("model*")} == before
    manifest, saved = store.load(own_copy, Manifest), store.load(own_copy, ParityRecord)
    assert manifest
    assert saved
    artifact = next(one for one in manifest.artifacts if one.precision == precision)
    found = metadata(Path("stamped.onnx"))
    assert found["mnist_bench.verdict"] == "passed"
    assert found["mnist_bench.verified_sha256"] == artifact.sha256
    assert found["mnist_bench.reference_sha256"] == saved.weights_sha256
    assert found["mnist_bench.certified"].endswith(" of 360")
    assert found["mnist_bench.runtimes"].startswith(f"onnxruntime{' int8' if precision == 'int8' else ''} 1.")
    content = Path("stamped.onnx").read_bytes()
    verified = content[: int(found["mnist_bench.verified_bytes"])]
    assert hashlib.sha256(verified).hexdigest() == artifact.sha256
    onnx.checker.check_model(onnx.load("stamped.onnx"), full_check=True)
    assert logits(Path("stamped.onnx")) == logits(own_copy / artifact.name)


def test_a_copy_takes_the_place_of_no_device_and_of_no_other_document(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe")
    assert run(*QUICK, "--stamp", "pipe") == 2
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert "pipe is no regular file" in capsys.readouterr().err
    for first, second in (("--json", "--junit"), ("--stamp", "--json"), ("--stamp", "--junit")):
        assert run(*QUICK, first, "one", second, "./one") == 2
        assert f"{first} and {second} cannot both go to one" in capsys.readouterr().err
        assert not Path("one").exists()


def test_a_precision_of_which_nothing_is_proved_is_not_stamped_as_certified(own_copy: Path, run: Run) -> None:
    assert run(*QUICK) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert {"fp32", "int8"} <= {one.configuration.precision for one in saved.results}
    assert "certified" in stamp.facts(saved, "fp32")
    assert "certified" in stamp.facts(saved, "int8")
    assert "certified" not in stamp.facts(replace(saved, quantised=()), "int8")


def test_a_stamped_file_is_verified_imported_and_stamped_again(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "--stamp", "first.onnx") == 0
    assert run(*QUICK, "--model", "first.onnx", "--stamp", "second.onnx") == 0
    first, second = metadata(Path("first.onnx")), metadata(Path("second.onnx"))
    assert first["mnist_bench.verified_sha256"] == second["mnist_bench.verified_sha256"]
    onnx.checker.check_model(onnx.load("second.onnx"))  # no key is there twice
    assert run("import", "second.onnx", "--dataset", "digits", "--run", "back") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "its metadata say: passed at 20" in told
    assert "against digits-relu; not signed" in told


def test_what_fails_is_not_stamped(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(own_copy / "model.onnx")
    bias = next(weight for weight in model.graph.initializer if list(weight.dims) == [10])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 50
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, "other.onnx")
    assert run(*QUICK, "--model", "other.onnx", "--stamp", "stamped.onnx") == 1
    assert run("verify", "-q", "--threads", "1", "--runtime", "torch-eager", "--stamp", "stamped.onnx") == 2
    assert "nothing that was asked opens the run's onnx file of fp32" in capsys.readouterr().err
    assert not Path("stamped.onnx").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--stamp", "nowhere/s.onnx"), 3, "there is no folder"),
        (("--stamp", "exports/digits-relu/model.onnx"), 2, "is a file of a run"),
        (("--model", "m.onnx", "--stamp", "m.onnx"), 2, "name another file"),
        (("--model", "m.safetensors", "--stamp", "s.onnx"), 2, "only ONNX files have metadata"),
        (("--precision", "bf16", "--stamp", "s.onnx"), 2, "has no ONNX file of bf16"),
    ],
)
def test_what_cannot_be_stamped_is_told_before_the_work(
    options: tuple[str, ...], code: int, words: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(own_copy / "model.onnx", "m.onnx")
    record = store.load_record(own_copy)
    assert record.checkpoint
    shutil.copy(own_copy / record.checkpoint.weights.name, "m.safetensors")
    assert run(*QUICK, *options) == code
    assert words in capsys.readouterr().err
    assert (own_copy / "model.onnx").read_bytes() == Path("m.onnx").read_bytes()


def changed_before(content: bytes, graph: bytes) -> bytes:
    return content.replace(b"mnist-bench", b"mnist-bunch", 1) if b"mnist-bench" in content else b"\x08\x07" + content


def merged_graph(content: bytes, graph: bytes) -> bytes:
    return content + graph


def stranger_behind(content: bytes, graph: bytes) -> bytes:
    entry = onnx.StringStringEntryProto(key="other", value="x")
    return content + bytes(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def other_length(content: bytes, graph: bytes) -> bytes:
    size = len(graph)
    return content.replace(str(size).encode(), str(size - 1).encode().rjust(len(str(size)), b"0"))


@pytest.mark.parametrize("change", [changed_before, merged_graph, stranger_behind, other_length])
def test_a_file_that_was_changed_behind_its_stamp_is_found_out(change: object, light: Path) -> None:
    graph = (light / "model.onnx").read_bytes()
    content = onnx_stamp.stamped(graph, {"verdict": "passed"})
    assert onnx_stamp.unstamped(content) == graph
    assert onnx_stamp.unstamped(graph) == graph
    assert callable(change)
    forged = change(content, graph)
    assert forged != content
    with pytest.raises(ModelRefused, match="it was changed since then"):
        onnx_stamp.unstamped(forged)
    assert "it was changed since then" in onnx_stamp.told(forged)[0]


def test_words_of_a_stranger_do_not_steer_the_terminal(light: Path) -> None:
    content = onnx_stamp.stamped(
        (light / "model.onnx").read_bytes(), {"verdict": "passed\x1b[2J\n\x00", "reference": "r"}
    )
    assert "\x1b" not in "".join(onnx_stamp.told(content))
