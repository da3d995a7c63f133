"""Every runtime on a run of the digits, and everything that must make verification fail."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
import torch
from msgspec.structs import replace

from mnist_bench import data, parity, runtimes, store
from mnist_bench.core.types import RUNGS, Configuration, Deviation, Manifest, ParityRecord
from mnist_bench.report._table import ViewOptions
from mnist_bench.report.views.parity import quantised
from tests.conftest import Plugins, Run
from tests.documents import edit

ALL = [name for name in runtimes.names() if runtimes.load(name).FORMAT]
QUICK = ("verify", "--batch-size", "1,128", "--threads", "1")


def verify(folder: Path, digits: data.Dataset, *names: str, batch_sizes: tuple[int, ...] = (1, 7, 128)) -> ParityRecord:
    plan = parity.Plan(names, batch_sizes, threads=(1, 2))
    return parity.verify(folder, digits, plan, lambda _: None)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


@pytest.mark.processors
@pytest.mark.parametrize("name", ALL)
def test_every_runtime_gives_the_reference_s_answers(name: str, exported: Path, digits: data.Dataset) -> None:
    if missing := runtimes.load(name).why_unavailable():  # what must be here is said in tests/runtimes/test_targets.py
        pytest.skip(str(missing))
    found = verify(exported, digits, name)
    assert found.results
    for result in found.results:
        assert result.failures == (), result.configuration
        if result.configuration.precision == "fp32":
            assert RUNGS[result.rung] in ("within tolerance", "bitwise")
            assert result.beyond_bound == 0
            assert result.deviations == ()
    threads = {result.configuration.threads for result in found.results}
    batches = {result.configuration.batch_size for result in found.results}
    assert (threads, batches) == ({1, 2}, {1} if name == "ncnn" else {1, 7, 128})


@pytest.mark.processors
def test_the_certificate_covers_nearly_all_digits(exported: Path, digits: data.Dataset) -> None:
    found = verify(exported, digits, "torch-eager", batch_sizes=(128,)).certificate
    assert found.images == 360
    assert found.certified >= 358
    for entry in found.uncertified:
        assert entry.bound is not None
        assert entry.margin <= entry.bound


@pytest.mark.processors
def test_quantised_files_have_a_certificate_of_their_own(exported: Path, digits: data.Dataset) -> None:
    record = verify(exported, digits, "onnxruntime", batch_sizes=(1, 128))
    assert {found.precision for found in record.quantised} == {"int8", "int8-dynamic"}
    for found in record.quantised:
        assert found.images == 360
        assert found.images - found.uncertified_alone >= 345
        assert found.certified >= (345 if found.precision == "int8" else 250)
        assert found.agreeing + len(found.deviations) <= found.certified
        assert (found.saturating, found.pairs_reached) == ((), 0)
        for entry in found.uncertified:
            assert entry.bound is not None
            assert entry.margin <= entry.bound
    results = [one for one in record.results if one.configuration.precision.startswith("int8")]
    assert results
    assert not [one for one in results if one.failures or one.beyond_bound]


def test_predictions_against_the_proof_are_told_apart_from_flips(exported: Path, digits: data.Dataset) -> None:
    record = verify(exported, digits, "onnxruntime", batch_sizes=(128,))
    found = next(one for one in record.quantised if one.precision == "int8")
    unsure = {one.image for one in found.uncertified} | {one.image for one in found.deviations}
    image = next(one for one in range(found.images) if one not in unsure)
    other = Deviation(image=image, prediction=(record.reference_predictions[image] + 1) % 10)
    contrary = replace(found, agreeing=found.agreeing - 1, deviations=(*found.deviations, other))
    for certificate, broken in ((found, 0), (contrary, 1)):
        tables = quantised.build(replace(record, quantised=(certificate,)), ViewOptions())
        (row,) = next(one for one in tables if one.title == "Whose the flips are").rows
        assert row[-1] == broken


def test_a_copied_run_verifies_on_another_path(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = Path("elsewhere/renamed")
    shutil.copytree(own_copy, elsewhere)
    shutil.rmtree(own_copy)
    assert run(*QUICK, "--out", "elsewhere", "--runtime", "onnxruntime", "--runtime", "torch-eager") == 0
    assert "passed" in capsys.readouterr().out
    saved = store.load(elsewhere, ParityRecord)
    assert saved
    assert {result.configuration.runtime for result in saved.results} == {"onnxruntime", "torch-eager"}


def test_report_shows_the_comparison_again(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUICK, "--runtime", "torch-eager") == 0
    verified = capsys.readouterr().out
    assert run("report") == 0
    assert capsys.readouterr().out.endswith(verified)
    assert run("report", "--table", "certificate", "--format", "csv") == 0
    assert capsys.readouterr().out.startswith("Image,True,Predicted,Rival,")
    assert run("train", "--dataset", "digits", "-q", "--resume", "--epochs", 6) == 0
    assert run("report", "--table", "certificate") == 0
    assert "run verify again" in capsys.readouterr().err
    assert run("report", "--table", "gossip") == 2


def test_json_is_the_record_alone(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUICK, "--runtime", "torch-eager", "-q", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((own_copy / "parity.json").read_text())


def test_one_flipped_bit_in_any_exported_file_is_caught(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = store.load(own_copy, Manifest)
    assert manifest
    for entry in manifest.artifacts:
        path = own_copy / entry.name
        path = max(path.iterdir(), key=lambda part: part.stat().st_size) if path.is_dir() else path
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[place] ^= 1
            path.write_bytes(damaged)
            assert run(*QUICK, "-q") == 2
            assert entry.name in one_line(capsys)
        path.write_bytes(content[:-1])
        assert run(*QUICK, "-q") == 2
        assert entry.name in one_line(capsys)
        path.write_bytes(content)
    assert not (own_copy / "parity.json").exists()


def test_a_missing_file_is_caught(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (own_copy / "model.onnx").unlink()
    assert run(*QUICK, "-q") == 2
    assert "model.onnx cannot be read" in one_line(capsys)


def test_a_file_of_older_weights_is_skipped_and_says_so(own_copy: Path, run: Run) -> None:
    assert run("train", "--dataset", "digits", "-q", "--resume", "--epochs", 6) == 0
    assert run(*QUICK, "-q") == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert {result.configuration.format for result in saved.results} == {"weights"}
    assert any("before the run was trained further" in entry.reason for entry in saved.skipped)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--runtime", "abacus"], 2, "no 'abacus' among the runtimes"),
        (["--runtime", "null"], 2, "null answers nothing"),
        (["--runtime", "onnx-reference", "--device", "cuda"], 3, "device 'cuda' is not available"),
        (["--batch-size", "0"], 2, "0 is not positive"),
        (["--batch-size", "one"], 2, "is not a list of numbers"),
        (["--batch-size", ""], 2, "is not a list of numbers"),
        (["--threads", "100000"], 2, "more than the"),
        (["--run", "ghost"], 2, "no run 'ghost'"),
        (["--model", "nowhere.onnx"], 2, "nowhere.onnx"),
        (["--dataset", "imagenet"], 2, "imagenet"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], code: int, words: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "-q", *arguments) == code
    assert words in one_line(capsys)


def test_a_runtime_that_is_named_must_have_its_file(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_copy / "manifest.json").unlink()
    assert run(*QUICK, "-q", "--runtime", "onnxruntime", "--runtime", "torch-eager") == 2
    assert "the run holds no onnx file: mnist-bench export --run digits-relu --format onnx" in one_line(capsys)


# What is wrong shows.

NEW_RUNTIME = '''
"""A runtime that a test adds: NumPy, in float32."""

import contextlib
import numpy as np
import safetensors.numpy
from mnist_bench.runtimes._contract import Effective, Session, as_stored

FORMAT, DEVICES, PRECISIONS, COMPILED, LIBRARY = "weights", ("cpu",), as_stored("fp32"), False, "numpy"

def why_unavailable():
    return None

def why_not_on(device):
    return None

def version():
    return np.__version__

@contextlib.contextmanager
def open(model, spec):
    w = {{name: value.copy() for name, value in safetensors.numpy.load(model.content).items()}}
    {change}
    def run(images):
        h = np.maximum(images.reshape(len(images), -1) @ w["fc1.weight"].T + w["fc1.bias"], np.float32(0))
        h = np.maximum(h @ w["fc2.weight"].T + w["fc2.bias"], np.float32(0))
        return {answer}
    yield Session(run, lambda: Effective("numpy", "{precision}"))
'''
LOGITS = 'h @ w["fc3.weight"].T + w["fc3.bias"]'


def add_runtime(plugins: Plugins, **parts: str) -> None:
    fields = {"change": "pass", "answer": LOGITS, "precision": "fp32"} | parts
    plugins.add("runtimes", "numpy_added", NEW_RUNTIME.format(**fields))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"change": 'w["fc3.bias"][3] += 50'}, "certified images are predicted differently"),
        ({"change": 'w["fc1.weight"] *= np.float32(1.01)'}, "leave the tolerance"),
        ({"change": 'w["fc2.weight"] = w["fc2.weight"].astype(np.float16).astype(np.float32)'}, "leave the tolerance"),
        ({"answer": f"({LOGITS}).astype(np.float64)"}, "instead of float32"),
        ({"answer": f"({LOGITS})[:, :9]"}, "instead of float32"),
        ({"answer": f"({LOGITS}) * np.float32('nan')"}, "not finite"),
        ({"answer": "1 / 0"}, "it failed: ZeroDivisionError"),
        ({"precision": "fp16"}, "it runs in fp16, not in fp32 as claimed"),
    ],
    ids=["a bias", "a weight", "rounded weights", "dtype", "shape", "nan", "crash", "precision"],
)
def test_what_is_wrong_breaks_parity(
    parts: dict[str, str],
    words: str,
    own_copy: Path,
    plugins: Plugins,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_runtime(plugins, **parts)
    assert run(*QUICK, "-q", "--runtime", "numpy-added") == 1
    assert words in one_line(capsys)


# Files from elsewhere


def test_a_foreign_copy_is_verified_in_its_own_process(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(own_copy / "model.onnx", "from-elsewhere.bin")
    assert run(*QUICK, "--model", "from-elsewhere.bin") == 0
    out = capsys.readouterr().out
    assert "onnxruntime" in out
    assert "onnx-reference" in out
    assert not (own_copy / "parity.json").exists()


def test_a_foreign_file_with_other_weights_fails(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(own_copy / "model.onnx")
    bias = next(weight for weight in model.graph.initializer if list(weight.dims) == [10])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 50
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, "other.onnx")
    assert run(*QUICK, "-q", "--model", "other.onnx") == 1
    assert "certified images are predicted differently" in one_line(capsys)


def test_a_fixed_batch_size_is_respected(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(own_copy / "model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 100
    del model.graph.value_info[:]
    onnx.save(model, "fixed.onnx")
    assert run(*QUICK, "-q", "--model", "fixed.onnx", "--runtime", "onnxruntime", "--json", "-") == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["configuration"]["batch_size"] for result in results] == [100]


def edited(own_copy: Path, **changes: object) -> None:
    def change(manifest: dict[str, Any]) -> None:
        next(entry for entry in manifest["artifacts"] if entry["name"] == "model.onnx").update(changes)

    edit(own_copy / "manifest.json", change)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "torchscript"},
        {"format": "poem"},
        {"precision": "int8"},
        {"name": "../model.onnx"},
        {"sha256": "0" * 64},
    ],
)
def test_a_manifest_that_mislabels_a_file_is_refused(
    changes: dict[str, str], own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(own_copy, **changes)
    assert run(*QUICK, "-q", "--runtime", "torch-eager") == 2  # whoever reads it
    one_line(capsys)


def test_a_damaged_manifest_stops_an_export_before_it_writes(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_copy / "manifest.json").write_text('{"schema_version": 1')
    before = (own_copy / "model.pt2").stat().st_mtime_ns
    assert run("export", "-q", "--format", "torch-export") == 2
    assert "manifest.json" in one_line(capsys)
    assert (own_copy / "model.pt2").stat().st_mtime_ns == before


def test_a_model_that_answers_too_much_is_refused(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(own_copy / "model.onnx")
    model.graph.node[-1].output[0] = "once"
    model.graph.node.append(onnx.helper.make_node("Concat", ["once", "once"], ["logits"], axis=0))
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "twice"
    onnx.save(model, "doubled.onnx")
    assert run(*QUICK, "-q", "--model", "doubled.onnx", "--runtime", "onnxruntime") == 2
    assert "answers to" in one_line(capsys)


def test_a_stray_operator_does_not_make_a_network_quantised(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(own_copy / "model.onnx")
    for name, value in (("scale", np.float32(1)), ("zero", np.uint8(0))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    model.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["logits", "scale", "zero"], ["unused"]))
    onnx.save(model, "decoy.onnx")
    arguments = ("-q", "--model", "decoy.onnx", "--runtime", "onnxruntime")
    assert run(*QUICK, *arguments) == 0
    assert run(*QUICK, *arguments, "--precision", "int8") == 1
    assert "it runs in fp32, not in int8 as claimed" in one_line(capsys)


@pytest.mark.parametrize("precision", ["fp16", "int8", "int8-dynamic"])
def test_a_foreign_file_is_held_to_the_precision_that_it_is_said_to_have(
    precision: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("-q", "--model", own_copy / f"model-{precision}.onnx", "--runtime", "onnxruntime")
    assert run(*QUICK, *arguments, "--precision", "fp32") == 1
    capsys.readouterr()
    assert run(*QUICK, *arguments, "--precision", precision) == 0
    assert run(*QUICK, *arguments) == 0  # what is not claimed is read from the file


def test_a_foreign_file_that_can_saturate_is_told_with_its_pairs(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(own_copy / "model-int8.onnx")
    weight = next(one for one in model.graph.initializer if one.name == "fc2.weight_quantized")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[5:7] = 0
    values[5, 10:12], values[6, 11:13] = (127, 2), (-127, -127)  # the pairs are 10 and 11, 12 and 13
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, "saturates.onnx")
    arguments = ("--precision", "int8", "--runtime", "onnxruntime", "--model")
    assert run(*QUICK, *arguments, own_copy / "model-int8.onnx") == 0
    assert "fits in 16 bits" in capsys.readouterr().out
    assert run(*QUICK, *arguments, "saturates.onnx", "--json", "-") in (0, 1)
    found = json.loads(capsys.readouterr().out)["saturation"]["onnxruntime int8"]
    pairs = (784 * 512 + 512 * 256) // 2
    assert found == {"largest_sum": 255 * 129, "fits_16_bits": False, "pairs_beyond": 1, "pairs": pairs}
    run(*QUICK, *arguments, "saturates.onnx", "--batch-size", "1")
    told = capsys.readouterr().out
    assert "CAN SATURATE" in told
    assert "without VNNI" in told


def test_images_that_reach_a_pair_that_saturates_have_no_certificate(
    own_copy: Path, digits: data.Dataset, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(own_copy / "model-int8.onnx")
    weight = next(one for one in model.graph.initializer if one.name == "fc1.weight_quantized")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[3, 406:408] = 127
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, "saturates.onnx")
    run(*QUICK, "--precision", "int8", "--runtime", "onnxruntime", "--model", "saturates.onnx", "--json", "-")
    (found,) = json.loads(capsys.readouterr().out)["quantised"]
    pixels = digits.test.pixels.reshape(len(digits.test.pixels), -1).astype(int)
    beyond = np.flatnonzero(127 * (pixels[:, 406] + pixels[:, 407]) > 2**15 - 1)
    assert 0 < len(beyond) < len(pixels)
    assert found["saturating"] == beyond.tolist()
    assert found["uncertified_alone"] == len(found["uncertified"])
    assert (found["pairs_reached"], found["pairs"]) == (1, [{"layer": 0, "unit": 3, "pair": 203}])


def test_a_quantised_file_of_another_kind_is_compared_without_a_certificate(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(own_copy / "model-int8.onnx")
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Identity", ["before"], ["also"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["also", "also"], ["twice"]))
    model.graph.node.append(onnx.helper.make_node("Sub", ["twice", "also"], ["logits"]))
    onnx.save(model, "other.onnx")
    arguments = ("--precision", "int8", "--runtime", "onnxruntime", "--model", "other.onnx")
    assert run(*QUICK, *arguments, "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["quantised"] == []
    (absent,) = [entry for entry in record["skipped"] if entry["target"] == "certificate of onnx int8"]
    assert "is read by" in absent["reason"]


def test_a_runtime_that_cannot_read_a_foreign_file_is_told(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("-q", "--model", own_copy / "model.onnx")
    assert run(*QUICK, *arguments, "--runtime", "onnxruntime", "--runtime", "torch-eager") == 2
    assert "torch-eager cannot read" in one_line(capsys)


def nested(model: onnx.ModelProto) -> bytes:
    """Keep a tensor elsewhere that is no initializer but the value of a Constant node."""
    Path("secret.bin").write_bytes(bytes(40))
    hidden = onnx.numpy_helper.from_array(np.zeros(10, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(hidden, "secret.bin")
    hidden.ClearField("raw_data")
    hidden.data_location = onnx.TensorProto.EXTERNAL
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["extra"], value=hidden))
    return bytes(model.SerializeToString())


def negative_batch(model: onnx.ModelProto) -> bytes:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    return bytes(model.SerializeToString())


def foreign_domain(model: onnx.ModelProto) -> bytes:
    model.graph.node[1].domain = "com.nobody"
    model.opset_import.append(onnx.helper.make_opsetid("com.nobody", 1))
    return bytes(model.SerializeToString())


def external(model: onnx.ModelProto) -> bytes:
    onnx.save(model, "external.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return Path("external.onnx").read_bytes()


def another_signature(model: onnx.ModelProto) -> bytes:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    return bytes(model.SerializeToString())


def unknown_operator(model: onnx.ModelProto) -> bytes:
    model.graph.node[1].op_type = "Gemmm"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external, "keeps its weights in other files"),
        (nested, "keeps its weights in other files"),
        (negative_batch, "foreign.onnx"),
        (foreign_domain, "foreign.onnx"),
        (another_signature, "foreign.onnx"),
        (unknown_operator, "No Op registered for Gemmm"),
        (lambda model: model.SerializeToString()[:-1000], "bytes or more are missing: download it again"),
        (lambda model: b"", "foreign.onnx"),
        (lambda model: b"hello", "is text, and no model"),
    ],
    ids=[
        "external data",
        "nested external data",
        "negative batch",
        "foreign domain",
        "signature",
        "operator",
        "truncated",
        "empty",
        "text",
    ],
)
def test_what_is_no_such_onnx_file_is_refused(
    change: Callable[[onnx.ModelProto], bytes],
    words: str,
    own_copy: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("foreign.onnx").write_bytes(change(onnx.load(own_copy / "model.onnx")))
    assert run(*QUICK, "-q", "--model", "foreign.onnx", "--runtime", "onnxruntime") == 2
    assert words in one_line(capsys)


def test_a_program_loads_only_from_the_manifest_or_with_trust(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (own_copy / "model.ts").exists():
        pytest.skip("torchscript cannot be written here")
    shutil.copy(own_copy / "model.ts", "known.ts")
    assert run(*QUICK, "-q", "--model", "known.ts") == 0
    (own_copy / "manifest.json").unlink()
    assert run(*QUICK, "-q", "--model", "known.ts") == 2
    assert "--trust-code" in one_line(capsys)
    assert run(*QUICK, "-q", "--model", "known.ts", "--trust-code") == 0


def test_a_damaged_archive_and_a_pipe_are_refused(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((own_copy / "model.pt2").read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at : at + 4] = b"XXXX"
    Path("damaged.pt2").write_bytes(content)
    assert run(*QUICK, "-q", "--model", "damaged.pt2") == 2
    one_line(capsys)
    Path("long.zip").write_bytes(b"PK\x01\x02" * 20_000 + content)
    assert run(*QUICK, "-q", "--model", "long.zip") == 2
    assert "long.zip is of no kind that is known here" in one_line(capsys)
    os.mkfifo("pipe")
    assert run(*QUICK, "-q", "--model", "pipe") == 2
    assert "pipe cannot be read" in one_line(capsys)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_sigterm_leaves_no_process_and_no_file(own_copy: Path) -> None:
    before = {path.name for path in own_copy.iterdir()}
    command = [sys.executable, "-m", "mnist_bench", "export", "--format", "onnx"]
    process = subprocess.Popen(command, cwd=own_copy.parent.parent, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    process.stderr.readline()
    time.sleep(2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert {path.name for path in own_copy.iterdir()} - {".lock"} == before - {".lock"}


def test_an_archive_of_something_else_is_refused(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.make_archive("photos", "zip", own_copy, "run.json")
    assert run(*QUICK, "-q", "--model", "photos.zip") == 2
    assert "is a zip archive of no model that is known here (run.json)" in one_line(capsys)


def test_an_untrained_run_cannot_be_verified(own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    edit(own_copy / "run.json", lambda record: record.update(checkpoint=None, epochs=[], final=None))
    assert run(*QUICK, "-q") == 2
    assert "has no weights yet" in one_line(capsys)
    assert run("export", "-q", "--format", "onnx") == 2
    assert "has no weights yet" in one_line(capsys)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["torch-eager", "torch-compile", "torch-export"])
def test_cuda_gives_the_reference_s_answers(name: str, exported: Path, digits: data.Dataset) -> None:
    plan = parity.Plan((name,), (1, 128), (1,), "cuda:0")
    found = parity.verify(exported, digits, plan, lambda _: None)
    assert all(result.failures == () for result in found.results)
    assert torch.cuda.is_available()


# What a person reads


def test_the_tables_call_out_cancelling_flips(exported: Path, digits: data.Dataset) -> None:
    """Two runtimes with the same accuracy and different predictions."""
    from msgspec.structs import replace

    import mnist_bench.report as report
    from mnist_bench.core.types import Deviation

    found = verify(exported, digits, "torch-eager", batch_sizes=(128,))
    first = found.results[0]
    right = [i for i, (a, b) in enumerate(zip(found.labels, found.reference_predictions, strict=False)) if a == b][:2]
    others = [Deviation(image=i, prediction=(found.labels[i] + 1) % 10) for i in right]

    def named(runtime: str, deviation: Deviation):  # type: ignore[no-untyped-def]
        configuration: Configuration = replace(first.configuration, runtime=runtime)
        return replace(first, configuration=configuration, deviations=(deviation,), correct=first.correct - 1)

    both = replace(found, results=(named("one", others[0]), named("two", others[1])))
    text = report.render("markdown", list(report.parity_tables(both, report.ViewOptions())))
    assert "Cancelling flips: one and two have the same accuracy, and differ on 2 test images." in text
    assert np.isclose(found.reference_margins[right[0]], sorted(found.reference_margins)[0], atol=100)


def test_the_runtimes_are_listed_with_what_is_missing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runtimes", "--format", "csv") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in runtimes.names())
    if not torch.cuda.is_available():
        assert run("runtimes", "--device", "cuda", "--format", "csv") == 0
        assert "use --device cpu" in capsys.readouterr().out
    assert run("runtimes", "--device", "tpu") == 2


def test_the_command_says_what_it_compares(own_copy: Path) -> None:
    command = [sys.executable, "-m", "mnist_bench", *QUICK, "--runtime", "torch-eager"]
    done = subprocess.run(command, cwd=own_copy.parent.parent, capture_output=True, text=True, check=True)
    assert "torch-eager on torch cpu: 1 thread(s), batch 128" in done.stderr
    assert "Images without a certificate" in done.stdout
