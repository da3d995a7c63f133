"""Files from elsewhere become runs: what they want is found out, and everything after it works on them."""

import inspect
import io
import json
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mnist_bench import data, formats, importing, parity, store
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import Manifest, ParityRecord, Record
from tests.conftest import Run, made_once

Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="session")
def arrays(light: Path) -> dict[str, NDArray[Any]]:
    """The weights of a run on the digits, as the files of these tests hold them."""
    record = store.load_record(light)
    assert record.checkpoint
    return store.load_weights(light, record.checkpoint.weights)


def keras_like(arrays: Arrays, *, ending: str = "", divide: bool = False, dropout: bool = False) -> onnx.ModelProto:
    """Write the network as Keras' converter does: (n, 28, 28) in, kernels (inputs, units), MatMul and Add."""
    nodes, weights = [], [numpy_helper.from_array(np.array([-1, 784]), "flat")]
    value = "image"
    if divide:
        weights.append(numpy_helper.from_array(np.array(255, np.float32), "255"))
        nodes.append(helper.make_node("Div", [value, "255"], ["divided"]))
        value = "divided"
    nodes.append(helper.make_node("Reshape", [value, "flat"], ["flattened"]))
    value = "flattened"
    for number in (1, 2, 3):
        kernel, bias = arrays[f"fc{number}.weight"].T.copy(), arrays[f"fc{number}.bias"]
        weights += [numpy_helper.from_array(kernel, f"w{number}"), numpy_helper.from_array(bias, f"b{number}")]
        nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [f"product{number}"]))
        nodes.append(helper.make_node("Add", [f"product{number}", f"b{number}"], [f"sum{number}"]))
        value = f"sum{number}"
        if number < 3:
            nodes.append(helper.make_node("Relu", [value], [f"active{number}"]))
            value = f"active{number}"
        if number == 1 and dropout:
            weights += [
                numpy_helper.from_array(np.array(0.5, np.float32), "rate"),
                numpy_helper.from_array(np.array(True), "on"),
            ]
            nodes.append(helper.make_node("Dropout", [value, "rate", "on"], ["dropped"], name="dropout"))
            value = "dropped"
    if ending:
        nodes.append(helper.make_node(ending, [value], ["answer"], axis=1))
        value = "answer"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 28, 28])
    answer = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "keras", [image], [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="keras", ir_version=9)


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    onnx.save(model, path)
    return path


def imported(run: Run, path: Path, *options: str, name: str = "theirs") -> Record:
    assert run("import", path, "--run", name, "--dataset", "digits", *options) == 0
    return store.load_record(Path("exports") / name)


def verified(run: Run, name: str = "theirs", *options: str) -> ParityRecord:
    status = run("verify", "--run", name, "--runtime", "onnxruntime", "--threads", "1", "--batch-size", "128", *options)
    found = store.load(Path("exports") / name, ParityRecord)
    assert found
    assert status == (1 if any(result.failures for result in found.results) else 0)
    return found


def test_a_notebook_s_state_dict_becomes_a_run_of_the_specified_network(
    run: Run, tmp_path: Path, arrays: Arrays, light: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.pt"
    torch.save({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, path)
    record = imported(run, path)
    assert record.imported
    assert record.imported.specified
    assert record.config.activation == "relu"  # found out: sigmoid answers fewer images
    original = store.load_record(light)
    assert record.final
    assert original.final
    assert record.final.predictions.predictions == original.final.predictions.predictions
    assert "Imported as theirs" in capsys.readouterr().out
    assert run("export", "--run", "theirs", "--format", "torchscript", "--format", "onnx") == 0
    assert run("verify", "--run", "theirs", "--runtime", "torchscript", "--runtime", "onnxruntime") == 0


def test_a_keras_like_file_is_recognised_and_keeps_its_certificate(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    path = saved(keras_like(arrays, ending="Softmax"), tmp_path)
    record = imported(run, path)
    assert record.imported
    assert record.imported.specified
    assert record.imported.signature.shape == (28, 28)
    assert record.imported.signature.ending == "softmax"
    found = verified(run)
    assert found.certificate.certified > 0.9 * found.certificate.images
    assert [one.failures for one in found.results] == [()]


def test_the_very_file_is_what_is_verified(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    path = saved(keras_like(arrays), tmp_path)
    record = imported(run, path)
    manifest = store.load(Path("exports/theirs"), Manifest)
    assert manifest
    (artifact,) = manifest.artifacts
    assert (Path("exports/theirs") / artifact.name).read_bytes() == path.read_bytes()
    assert record.imported
    assert artifact.sha256 == record.imported.sha256


def test_a_model_that_wants_bytes_is_given_bytes(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    record = imported(run, saved(keras_like(arrays, divide=True), tmp_path))
    assert record.imported
    assert record.imported.signature.pixels == "bytes"
    assert not record.imported.specified
    assert "pixels from 0 to 255" in capsys.readouterr().out
    found = verified(run)
    assert [one.failures for one in found.results] == [()]
    assert found.certificate.certified > 0.9 * found.certificate.images


def test_what_is_told_is_not_tried(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    record = imported(run, saved(keras_like(arrays, divide=True), tmp_path), "--pixels", "unit")
    assert record.imported
    assert record.imported.signature.pixels == "unit"
    assert record.final
    assert record.final.test.accuracy < 0.5


def test_a_file_in_training_mode_is_held_as_it_should_be_and_found_out(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    record = imported(run, saved(keras_like(arrays, dropout=True), tmp_path))
    assert record.imported
    assert any("model.eval()" in note for note in record.imported.notes)
    assert record.final
    assert record.final.test.accuracy > 0.85  # of the network without its dropout
    # ONNX Runtime leaves every Dropout out; ONNX's own evaluator does what the file says.
    found = verified(run, "theirs", "--runtime", "onnx-reference")
    wrong = {one.configuration.runtime for one in found.results if one.failures}
    assert wrong == {"onnx-reference"}
    (diagnosis,) = found.diagnoses
    assert diagnosis.cause
    assert diagnosis.cause.name == "dropout still on"
    assert run("report", "--html", "--run", "theirs") == 0
    assert "FAILED" in Path("exports/theirs/report.html").read_text(encoding="utf-8")


def test_a_program_is_imported_by_who_trusts_it(run: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", exported / "model.ts", "--run", "theirs", "--dataset", "digits") == 2
    assert "--trust-code" in capsys.readouterr().err
    record = imported(run, exported / "model.ts", "--trust-code")
    assert record.imported
    assert record.imported.specified
    assert run("verify", "--run", "theirs", "--runtime", "torchscript", "--threads", "1", "--batch-size", "128") == 0


def fused(arrays: Arrays) -> onnx.ModelProto:
    """Write the network as ONNX Runtime's optimiser does: layer 1 and its activation in one operator of its own."""
    model = keras_like(arrays)
    graph = model.graph
    first = [node for node in graph.node if node.output[0] in ("product1", "sum1", "active1")]
    place = list(graph.node).index(first[0])
    for node in first:
        graph.node.remove(node)
    names, function = ["flattened", "w1", "b1"], {"activation": "Relu"}
    graph.node.insert(place, helper.make_node("FusedGemm", names, ["active1"], domain="com.microsoft", **function))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def test_what_only_some_runtimes_open_is_skipped_by_the_others(
    run: Run, tmp_path: Path, arrays: Arrays, light: Path
) -> None:
    path = saved(fused(arrays), tmp_path)
    words = ("--run", light.name, "--out", light.parent, "--threads", "1", "--batch-size", "128")
    assert run("verify", *words, "--model", path, "--json", "found.json") == 0
    found = json.loads(Path("found.json").read_text())
    assert "onnxruntime" in {one["configuration"]["runtime"] for one in found["results"]}
    (skipped,) = [one for one in found["skipped"] if one["target"] == "onnx-reference"]
    assert "FusedGemm" in skipped["reason"]
    assert "which opens it" in skipped["remedy"]
    assert run("verify", *words, "--model", path, "--runtime", "onnx-reference") == 2  # it was named


def test_a_file_of_onnx_runtime_is_imported(run: Run, exported: Path) -> None:
    record = imported(run, exported / "model.fixed.ort")
    assert record.imported
    assert record.imported.kind == "ort"
    assert run("verify", "--run", "theirs", "--runtime", "ort-fixed", "--threads", "1", "--batch-size", "128") == 0


def test_a_classifier_of_scikit_learn_is_imported(run: Run, exported: Path) -> None:
    record = imported(run, exported / "model.skops")
    assert record.imported
    assert record.imported.specified
    assert record.config.activation == "relu"
    assert run("verify", "--run", "theirs", "--runtime", "scikit-learn", "--threads", "1", "--batch-size", "128") == 0


def test_a_wrong_weight_is_seen(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    """The check can fail: the graph that is held, and the file that is asked, differ in one weight."""
    imported(run, saved(keras_like(arrays, divide=True), tmp_path))
    other = dict(arrays)
    other["fc3.weight"] = arrays["fc3.weight"] + np.float32(0.01)
    path = saved(keras_like(other, divide=True), tmp_path, "other.onnx")
    assert run("verify", "--run", "theirs", "--model", path) == 1


def test_a_graph_is_exported_in_lower_precisions(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    imported(run, saved(keras_like(arrays, divide=True), tmp_path))
    words = ("export", "--run", "theirs", "--format")
    assert run(*words, "onnx", "--precision", "all") == 0
    assert run(*words, "ort-fixed", "--precision", "fp32") == 0
    assert run(*words, "torchscript") == 3  # it is written from the specified network alone
    found = verified(run, "theirs", "--runtime", "ort-fixed")
    assert {one.configuration.precision for one in found.results} == {"fp32", "fp16", "int8", "int8-dynamic"}
    of_floats = [one.failures for one in found.results if one.configuration.precision in ("fp32", "fp16")]
    assert of_floats == [()] * 3  # how good bytes are is the quantiser's, and the network's
    skipped = " ".join(one.target for one in found.skipped)
    assert "certificate of onnx int8" in skipped


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(8 * 7 * 7, 10),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layers(image)
        return answer


BESIDE = f"import torch\nfrom torch import nn\n\n{inspect.getsource(Small)}"
"""What a user's file imports from its own folder."""

SOURCE = """
from beside import Small

def network():
    return Small()

def broken():
    raise ValueError("no such layer")

def scalar():
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
"""


@pytest.fixture(scope="session")
def convolutional(shared: Path) -> Path:
    """A run of a convolutional network of a user's own, trained by the command; to read and never to write."""
    from mnist_bench.cli import _main

    def make(folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        source = folder.parent / "net.py"
        source.write_text(SOURCE)
        (folder.parent / "beside.py").write_text(BESIDE)
        words = ["train", "--network", str(source), "--dataset", "digits", "--epochs", "4", "--threads", "1"]
        assert _main.run([*words, "--run", folder.name, "--out", str(folder.parent), "--quiet"]) == 0

    return made_once(shared / "own" / "convolutional", make)


def test_a_network_of_one_s_own_is_trained_and_held_as_its_graph(convolutional: Path) -> None:
    record = store.load_record(convolutional)
    assert len(record.epochs) == 4
    assert record.is_graph
    assert record.final
    assert record.final.test.accuracy > 0.8
    assert record.parameters == sum(one.numel() for one in Small().parameters())
    reference = parity.reference_of(convolutional, record)
    images = data.to_input(data.load("digits").test.pixels)
    answers = parity.logits_of(reference, images).argmax(1)
    assert np.mean(answers == np.array(record.final.predictions.predictions)) > 0.99


def test_it_is_verified_with_a_certificate(run: Run, convolutional: Path) -> None:
    words = ("--out", convolutional.parent, "--run", convolutional.name, "--runtime", "onnxruntime")
    assert run("verify", *words, "--threads", "1", "--batch-size", "7,128", "--json", "found.json") == 0
    found = json.loads(Path("found.json").read_text())
    assert found["certificate"]["certified"] > 0.8 * found["certificate"]["images"]
    assert found["certificate"]["largest_logit_bound"] > 0


def zoo_like(network: nn.Sequential) -> onnx.ModelProto:
    """Write a network as the model zoo's mnist-12 is laid out: one image a call, pixels from 0 to 255, no Gemm."""
    first, second, last = (one for one in network if isinstance(one, nn.Conv2d | nn.Linear))

    def stored(array: Any, name: str) -> onnx.TensorProto:
        return numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)

    def numbers(module: nn.Module) -> list[NDArray[Any]]:
        return [parameter.detach().numpy() for parameter in module.parameters()]

    (w1, b1), (w2, b2), (w3, b3) = numbers(first), numbers(second), numbers(last)
    weights = [
        stored(w1 / 255, "Parameter5"),
        stored(b1.reshape(-1, 1, 1), "Parameter6"),
        stored(w2, "Parameter87"),
        stored(b2.reshape(-1, 1, 1), "Parameter88"),
        stored(w3.T.reshape(16, 4, 4, 10), "Parameter193"),
        stored(b3.reshape(1, 10), "Parameter194"),
        numpy_helper.from_array(np.array([256, 10]), "Parameter193_shape"),
        numpy_helper.from_array(np.array([1, 256]), "Pooling160_shape"),
    ]
    same: dict[str, Any] = {"kernel_shape": [5, 5], "auto_pad": "SAME_UPPER"}
    nodes = [
        helper.make_node("Reshape", ["Parameter193", "Parameter193_shape"], ["Parameter193_reshape1"]),
        helper.make_node("Conv", ["Input3", "Parameter5"], ["Convolution28"], **same),
        helper.make_node("Add", ["Convolution28", "Parameter6"], ["Plus30"]),
        helper.make_node("Relu", ["Plus30"], ["ReLU32"]),
        helper.make_node("MaxPool", ["ReLU32"], ["Pooling66"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["Pooling66", "Parameter87"], ["Convolution110"], **same),
        helper.make_node("Add", ["Convolution110", "Parameter88"], ["Plus112"]),
        helper.make_node("Relu", ["Plus112"], ["ReLU114"]),
        helper.make_node("MaxPool", ["ReLU114"], ["Pooling160"], kernel_shape=[3, 3], strides=[3, 3]),
        helper.make_node("Reshape", ["Pooling160", "Pooling160_shape"], ["Pooling160_reshape0"]),
        helper.make_node("MatMul", ["Pooling160_reshape0", "Parameter193_reshape1"], ["Times212"]),
        helper.make_node("Add", ["Times212", "Parameter194"], ["Plus214_Output_0"]),
    ]
    image = helper.make_tensor_value_info("Input3", TensorProto.FLOAT, [1, 1, 28, 28])
    answer = helper.make_tensor_value_info("Plus214_Output_0", TensorProto.FLOAT, [1, 10])
    listed = [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights]
    graph = helper.make_graph(nodes, "CNTKGraph", [*listed, image], [answer], weights)  # the image is listed last
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], producer_name="CNTK", ir_version=7)


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="session")
def zoo(shared: Path, digits: data.Dataset) -> Path:
    """A file like the model zoo's mnist-12, trained on the digits; to read and never to write."""

    def make(folder: Path) -> None:
        torch.manual_seed(1)
        network = convolutions()
        images, labels = torch.from_numpy(data.to_input(digits.train.pixels)), torch.from_numpy(digits.train.labels)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(6):
            for batch in torch.split(torch.randperm(len(images)), 64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(images[batch]), labels[batch].long()).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        folder.mkdir(parents=True)
        onnx.save(zoo_like(network), folder / "mnist-12.onnx")

    return made_once(shared / "zoo", make) / "mnist-12.onnx"


def test_the_model_zoo_s_layout_goes_from_import_to_the_page(run: Run, zoo: Path) -> None:
    record = imported(run, zoo)
    assert record.imported
    assert record.imported.signature.pixels == "bytes"
    assert record.imported.signature.batch == 1
    assert record.final
    assert record.final.test.accuracy > 0.85
    found = verified(run)
    assert [one.failures for one in found.results] == [()]
    assert [one.configuration.batch_size for one in found.results] == [1]
    assert found.certificate.certified > 0.9 * found.certificate.images
    assert run("bench", "--run", "theirs", "--quick", "--runtime", "onnxruntime", "--allow-busy") == 0
    measured = store.load(Path("exports/theirs"), InferenceBenchRecord)
    assert measured
    assert measured.limits == ()  # those of another network say nothing of it
    assert run("report", "--html", "--run", "theirs") == 0
    page = Path("exports/theirs/report.html").read_text(encoding="utf-8")
    assert "pixels from 0 to 255" in page
    assert "the graph of mnist-12.onnx on digits, imported" in page
    assert "784-512-256-10" not in page


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("net.py:broken", "failed: ValueError: no such layer"),
        ("net.py:nothing", "cannot be imported: AttributeError"),
        ("net.py:scalar", "answers 2 images with torch.float32 (2, 1), not float32 (2, 10)"),
        ("no_such_module:network", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_network_that_is_none_is_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, words: str
) -> None:
    (tmp_path / "net.py").write_text(SOURCE)
    (tmp_path / "beside.py").write_text(BESIDE)
    assert run("train", "--network", source, "--dataset", "digits", "--run", "own") == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("option", ["--activation sigmoid", "--resume", "--engine sparse"])
def test_what_only_the_specified_network_has_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "net.py").write_text(SOURCE)
    (tmp_path / "beside.py").write_text(BESIDE)
    assert run("train", "--network", "net.py", "--dataset", "digits", *option.split()) == 2
    assert option.split(maxsplit=1)[0].strip("-") in capsys.readouterr().err


def test_all_of_it_goes_to_the_page(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    imported(run, saved(keras_like(arrays, divide=True), tmp_path))
    assert run("run", "--run", "theirs", "--quick", "--dataset", "digits", "--quiet", "--allow-busy") == 0
    page = Path("exports/theirs/report.html").read_text(encoding="utf-8")
    for words in ("model.onnx", "pixels from 0 to 255", "onnxruntime int8", "mnist-bench import model.onnx"):
        assert words in page


def test_a_run_that_was_imported_is_not_trained_on(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    imported(run, saved(keras_like(arrays), tmp_path))
    assert run("train", "--run", "theirs", "--dataset", "digits", "--resume") == 2


def test_classes_that_are_not_the_dataset_s_are_refused(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = {**arrays, "fc3.weight": arrays["fc3.weight"][:7], "fc3.bias": arrays["fc3.bias"][:7]}
    model = keras_like(fewer)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
    assert run("import", saved(model, tmp_path), "--dataset", "digits") == 2
    assert "tells 7 classes apart, and digits has 10" in capsys.readouterr().err


def test_a_run_of_that_name_is_not_replaced_unless_told(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    path = saved(keras_like(arrays), tmp_path)
    imported(run, path)
    assert run("import", path, "--run", "theirs", "--dataset", "digits") == 2
    imported(run, path, "--overwrite")


def test_a_variable_that_was_never_set_is_no_name(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", saved(keras_like(arrays), tmp_path), "--run", "", "--dataset", "digits") == 2
    assert "--run': it is empty" in capsys.readouterr().err


def two_outputs(arrays: Arrays) -> onnx.ModelProto:
    """Answer with the label and with probabilities, as converters of scikit-learn do."""
    model = keras_like(arrays, ending="Softmax")
    model.graph.node.append(helper.make_node("ArgMax", ["answer"], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    return model


def test_probabilities_beside_a_label_are_compared_as_such(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    """Also where the reference is the graph itself."""
    model = two_outputs(arrays)
    model.graph.node.insert(0, helper.make_node("Div", ["image", "255"], ["pixels"]))
    model.graph.node[1].input[0] = "pixels"
    model.graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "255"))
    for path in (saved(two_outputs(arrays), tmp_path), saved(model, tmp_path, "graph.onnx")):
        record = imported(run, path, "--overwrite")
        assert record.imported
        assert (record.imported.signature.output, record.imported.signature.ending) == ("answer", "softmax")
        found = verified(run)
        assert [one.failures for one in found.results] == [()]
        assert found.certificate.certified > 0.9 * found.certificate.images


def test_a_softmax_over_the_batch_is_none_over_the_classes(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    model = keras_like(arrays, ending="Softmax")
    model.graph.node[-1].attribute[0].i = 0
    record = imported(run, saved(model, tmp_path))
    assert record.imported
    assert (record.imported.signature.ending, record.imported.specified) == ("logits", False)
    found = verified(run)
    assert (
        found.certificate.certified == 0
    )  # nothing is proved of it, and it fails: each image is answered by its batch


BORDERS = {
    "float16 in and out": (TensorProto.FLOAT16, TensorProto.FLOAT16, ""),
    "answers in float16": (TensorProto.FLOAT, TensorProto.FLOAT16, ""),
    "probabilities in float16": (TensorProto.FLOAT, TensorProto.FLOAT16, "Softmax"),
    "pixels of float16": (TensorProto.FLOAT16, TensorProto.FLOAT, ""),
    "float64 in and out": (TensorProto.DOUBLE, TensorProto.DOUBLE, ""),
    "bytes": (TensorProto.UINT8, TensorProto.FLOAT, ""),
}
TYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
}


def with_borders(arrays: Arrays, taken: int, given: int, ending: str = "") -> onnx.ModelProto:
    """Let the network, which computes in float32, take and give other types."""
    model = keras_like(arrays, ending=ending, divide=taken == TensorProto.UINT8)
    graph = model.graph
    if taken != TensorProto.FLOAT:
        graph.node[0].input[0] = "cast"
        graph.node.insert(0, helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT))
        graph.input[0].type.tensor_type.elem_type = taken
    if given != TensorProto.FLOAT:
        graph.node.append(helper.make_node("Cast", [graph.output[0].name], ["given"], to=given))
        graph.output[0].CopyFrom(helper.make_tensor_value_info("given", given, ["n", 10]))
    return model


@pytest.mark.parametrize(("taken", "given", "ending"), BORDERS.values(), ids=BORDERS)
def test_borders_of_other_types_change_no_verdict(
    taken: int, given: int, ending: str, run: Run, tmp_path: Path, arrays: Arrays, own_copy: Path
) -> None:
    """Neither of the run that a file becomes, nor of the file beside the run whose weights it has."""
    path = saved(with_borders(arrays, taken, given, ending), tmp_path)
    record = imported(run, path)
    assert record.imported
    signature = record.imported.signature
    assert (signature.dtype, signature.answers) == (TYPES[taken], TYPES[given])
    assert record.imported.specified == (taken == TensorProto.FLOAT)
    found = verified(run)
    assert [one.failures for one in found.results] == [()]
    assert found.certificate.certified > 0.9 * found.certificate.images
    beside = ("--run", own_copy.name, "--out", own_copy.parent, "--model", path, "--batch-size", "128")
    assert run("verify", *beside, *(["--assume", "softmax"] if ending else [])) == 0


class Converted(nn.Module):
    """The specified network in a type of its own, or in float32 between borders of it."""

    def __init__(self, arrays: Arrays, kind: torch.dtype, *, inside: bool) -> None:
        super().__init__()
        self.kind, self.inside = kind, inside
        self.layers = nn.ModuleList([nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)])
        names = {f"layers.{place}.{part}": f"fc{place + 1}.{part}" for place in range(3) for part in ("weight", "bias")}
        self.load_state_dict({own: torch.from_numpy(arrays[name].copy()) for own, name in names.items()})
        if inside:
            self.to(kind)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = images.flatten(1) if self.inside else images.flatten(1).float()
        for layer in self.layers[:2]:
            values = torch.relu(layer(values))
        values = self.layers[2](values)
        return values if self.inside else values.to(self.kind)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "inside", "format_", "precision"),
    [
        (torch.float16, True, "torchscript", "fp16"),
        (torch.float16, False, "torchscript", "fp32"),
        (torch.float64, True, "torchscript", "fp64"),
        (torch.float16, True, "torch-export", "fp16"),
    ],
)
def test_programs_of_other_types_are_what_they_compute_in(
    kind: torch.dtype, inside: bool, format_: str, precision: str, run: Run, tmp_path: Path, arrays: Arrays,
    own_copy: Path,
) -> None:  # fmt: skip
    network, path = Converted(arrays, kind, inside=inside).eval(), tmp_path / "model.bin"
    example = torch.rand(2, 1, 28, 28).to(kind)
    if format_ == "torchscript":
        with warnings.catch_warnings(action="ignore"):
            torch.jit.save(torch.jit.trace(network, example), path)  # type: ignore[no-untyped-call]
    else:
        shapes = ({0: torch.export.Dim("n")},)
        buffer = io.BytesIO()  # its name would have to end in .pt2
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=shapes), buffer)
        path.write_bytes(buffer.getvalue())
    record = imported(run, path, "--trust-code")
    assert record.imported
    assert record.imported.precision == precision
    assert record.imported.signature.answers == str(kind).removeprefix("torch.")
    quick = ("--runtime", format_, "--threads", "1", "--batch-size", "128")
    assert run("verify", "--run", "theirs", *quick) == 0
    found = store.load(Path("exports") / "theirs", ParityRecord)
    assert found
    assert [one.configuration.precision for one in found.results] == ["fp16" if precision == "fp16" else "fp32"]
    beside = ("--run", own_copy.name, "--out", own_copy.parent, "--model", path, "--trust-code")
    assert run("verify", *beside, *quick) == 0


def test_what_cannot_be_exported_of_a_graph_is_not_recommended(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    """Neither a format of the specified network alone, nor a higher precision than that of a graph in half."""
    half = with_borders(arrays, TensorProto.FLOAT16, TensorProto.FLOAT16)
    for one in half.graph.initializer:
        if one.data_type == TensorProto.FLOAT:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype(np.float16), one.name))
    kept = [node for node in half.graph.node if node.op_type != "Cast"]
    kept[0].input[0], kept[-1].output[0] = "image", "given"
    del half.graph.node[:]
    half.graph.node.extend(kept)
    imported(run, saved(half, tmp_path))
    assert run("verify", "--run", "theirs", "--threads", "1", "--batch-size", "128") == 0
    found = store.load(Path("exports") / "theirs", ParityRecord)
    assert found
    remedies = {one.target: (one.reason, one.remedy) for one in found.skipped}
    other = "use a runtime that reads ONNX, such as onnxruntime"
    assert remedies["ncnn"] == ("the network is an imported graph, not the specified one", other)
    assert remedies["onnx-reference"] == ("the imported graph is fp16, and stays so", other)


@pytest.mark.parametrize("assumed", ["bytes", "inverted"])
@pytest.mark.parametrize("taken", [TensorProto.FLOAT16, TensorProto.UINT8], ids=["float16", "uint8"])
def test_what_is_assumed_of_pixels_holds_of_any_type(
    assumed: str, taken: int, run: Run, tmp_path: Path, arrays: Arrays, own_copy: Path
) -> None:
    model = with_borders(arrays, taken, TensorProto.FLOAT)
    before = next(node for node in model.graph.node if node.op_type == "Reshape")
    if assumed == "inverted":
        model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
        change = helper.make_node("Sub", ["one", before.input[0]], ["changed"])
    else:  # what takes bytes divides them by 255 already
        scale = 1 if taken == TensorProto.UINT8 else 255
        model.graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), "scale"))
        change = helper.make_node("Div", [before.input[0], "scale"], ["changed"])
    model.graph.node.insert(list(model.graph.node).index(before), change)
    before = next(node for node in model.graph.node if node.op_type == "Reshape")
    before.input[0] = "changed"
    beside = ("--run", own_copy.name, "--out", own_copy.parent, "--model", saved(model, tmp_path))
    assert run("verify", *beside, "--batch-size", "128", "--threads", "1", "--assume", assumed) == 0


def test_a_reference_that_rounds_pixels_is_compared_with_what_does_not(
    run: Run, tmp_path: Path, arrays: Arrays
) -> None:
    imported(run, saved(with_borders(arrays, TensorProto.UINT8, TensorProto.FLOAT), tmp_path))
    plain = saved(keras_like(arrays), tmp_path, "plain.onnx")
    assert run("verify", "--run", "theirs", "--model", plain, "--batch-size", "128", "--threads", "1") == 0


def test_a_program_that_only_keeps_its_weights_in_half_is_held_to_float32(
    run: Run, tmp_path: Path, arrays: Arrays
) -> None:
    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Converted(arrays, torch.float16, inside=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            values = images.flatten(1)
            for place, layer in enumerate(self.inner.layers):
                assert isinstance(layer, nn.Linear)
                values = nn.functional.linear(values, layer.weight.float(), layer.bias.float())
                values = torch.relu(values) if place < 2 else values
            return values

    path = tmp_path / "model.ts"
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(Kept().eval(), torch.rand(2, 1, 28, 28)), path)  # type: ignore[no-untyped-call]
    record = imported(run, path, "--trust-code")
    assert record.imported
    assert record.imported.precision == "fp32"
    assert run("verify", "--run", "theirs", "--runtime", "torchscript", "--threads", "1", "--batch-size", "128") == 0
    found = store.load(Path("exports") / "theirs", ParityRecord)
    assert found
    assert [(one.configuration.precision, one.tier) for one in found.results] == [("fp32", "")]


@pytest.mark.parametrize("given", [TensorProto.FLOAT16, TensorProto.DOUBLE], ids=["float16", "float64"])
def test_what_is_wrong_shows_behind_any_border(
    given: int, run: Run, tmp_path: Path, arrays: Arrays, own_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of a thousandth of the largest logit more: less than its rounding to float16 may be elsewhere."""
    off = dict(arrays)
    off["fc3.bias"] = arrays["fc3.bias"] + np.float32(0.02) * (np.arange(10) == 3)
    path = saved(with_borders(off, TensorProto.FLOAT, given), tmp_path)
    command = ("--run", own_copy.name, "--out", own_copy.parent, "--model", path, "--batch-size", "128")
    assert run("verify", *command) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert ("beyond the rounding to float16" in said) == (given == TensorProto.FLOAT16)


def test_a_batch_that_does_not_divide_the_images_is_filled_up(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    model = keras_like(arrays)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 64
    record = imported(run, saved(model, tmp_path))
    assert record.imported
    assert record.imported.signature.batch == 64
    assert [one.failures for one in verified(run).results] == [()]


def test_another_way_must_be_clearly_better() -> None:
    usual = np.zeros(100, np.bool_)
    usual[:90] = True
    luck = np.concatenate([np.ones(94, np.bool_), np.zeros(6, np.bool_)])
    assert not importing._clearly_better(luck, usual)
    assert importing._clearly_better(np.ones(1_000, np.bool_), np.tile(usual, 10))
    assert not importing._clearly_better(usual, usual)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "finite"), (0.0, "with zeros: its weights are damaged")])
def test_weights_that_are_none_are_refused_and_leave_nothing(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str], value: float, words: str
) -> None:
    broken = {name: np.full_like(array, value) for name, array in arrays.items()}
    assert (
        run("import", saved(keras_like(broken, divide=True), tmp_path), "--run", "theirs", "--dataset", "digits") == 2
    )
    said = capsys.readouterr().err.splitlines()[-1]
    assert "model.onnx" in said
    assert words in said or "no number" in said
    assert not Path("exports/theirs/run.json").exists()


def test_what_the_tools_cannot_quantise_is_one_line(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnist_bench.core import child
    from mnist_bench.formats import _quantise, _request

    def broken(*_: object) -> None:
        raise AssertionError

    imported(run, saved(keras_like(arrays, divide=True), tmp_path))
    monkeypatch.setattr(_quantise, "quantised", broken)
    monkeypatch.setattr(child, "call", lambda _function, request, _type, **_limits: _request.serve(request))
    assert run("export", "--run", "theirs", "--format", "onnx", "--precision", "int8", "--quiet") == 2
    assert "onnxruntime's tools cannot write this graph in int8" in capsys.readouterr().err


def test_a_network_that_cannot_be_exported_is_refused_before_it_is_trained(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Odd(nn.Sequential):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) * (2.0 if float(x.sum()) > 0 else 1.0)\n"
        "def network():\n    return Odd(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    assert run("train", "--network", "net.py", "--dataset", "digits", "--run", "own", "--epochs", "100000") == 2
    assert "cannot be exported to ONNX" in capsys.readouterr().err
    assert not Path("exports/own").exists()


def flat(nodes: list[onnx.NodeProto], **weights: NDArray[Any]) -> onnx.ModelProto:
    """Write a network of flattened images, (n, 784)."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"]), *nodes],
        "flat",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_network_of_one_layer_is_quantised_too(run: Run, tmp_path: Path) -> None:
    """What stays in float of others is all that it has."""
    kernel = np.random.default_rng(0).normal(0, 0.1, (784, 10)).astype(np.float32)
    linear = flat([helper.make_node("Gemm", ["flat", "kernel"], ["logits"])], kernel=kernel)
    imported(run, saved(linear, tmp_path), name="linear")
    for precision in ("int8", "int8-dynamic"):
        assert run("export", "--run", "linear", "--format", "onnx", "--precision", precision) == 0
    found = verified(run, "linear")
    precisions = {one.configuration.precision for one in found.results}
    assert precisions == {"fp32", "int8", "int8-dynamic"}
    assert not any("as claimed" in failure for one in found.results for failure in one.failures)


def test_what_has_no_product_cannot_be_quantised(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = {"first": np.array([300]), "last": np.array([310]), "axis": np.array([1])}
    cut = flat([helper.make_node("Slice", ["flat", *ends], ["logits"])], **ends)
    imported(run, saved(cut, tmp_path), name="cut")
    for precision in ("int8", "int8-dynamic"):
        assert run("export", "--run", "cut", "--format", "onnx", "--precision", precision) == 2
        assert "cannot write this graph in int8" in (said := capsys.readouterr().err)
        assert "there is no product in it to quantise" in said


def test_what_came_in_a_lower_precision_stays_in_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: Arrays
) -> None:
    """A file that was quantised elsewhere, in an opset that ONNX's own reference does not know quantisation of."""
    from onnxruntime import quantization

    class Some(quantization.CalibrationDataReader):  # type: ignore[misc]
        left = iter([{"image": data.to_input(data.load("digits").train.pixels[:64]).reshape(-1, 28, 28)}])

        def get_next(self) -> Any:
            return next(self.left, None)

    plain = keras_like(arrays)
    del plain.opset_import[:]
    plain.opset_import.append(helper.make_opsetid("", 17))
    quantization.quantize_static(saved(plain, tmp_path, "plain.onnx"), tmp_path / "q.onnx", Some())
    content = (tmp_path / "q.onnx").read_bytes()
    record = imported(run, tmp_path / "q.onnx")
    assert record.imported
    assert record.imported.precision == "int8"
    own = Path("exports/theirs/model-int8.onnx")
    assert own.read_bytes() == content
    skipped = formats.export(own.parent, record, "onnx", precision="fp16")
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "the graph that was imported is int8, and stays so"
    assert run("export", "--run", "theirs", "--format", "all", "--precision", "all") == 0
    assert own.read_bytes() == content
    manifest = store.load(Path("exports/theirs"), Manifest)
    assert manifest
    assert {one.precision for one in manifest.artifacts} == {"int8"}
    capsys.readouterr()
    assert run("export", "--run", "theirs", "--format", "onnx") == 3
    assert "--precision int8" in capsys.readouterr().err
    found = verified(run)
    assert {one.configuration.precision for one in found.results} == {"int8"}
    assert not any(one.failures for one in found.results)


def test_classes_in_another_order_are_told_and_no_pixels_are_made_up(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    order = np.array([8, 5, 4, 9, 1, 7, 6, 3, 2, 0])  # eight, five, four and so on: by name
    mixed = dict(arrays) | {name: arrays[name][order] for name in ("fc3.weight", "fc3.bias")}
    record = imported(run, saved(keras_like(mixed), tmp_path))
    assert record.imported
    assert record.imported.signature.pixels == "unit"
    said = " ".join(capsys.readouterr().out.split())
    assert "with its classes taken for 8, 5, 4, 9, 1, 7, 6, 3, 2, 0 it would answer 9" in said
    assert "export it with its classes in the order of the labels" in said


def test_of_several_outputs_the_dataset_tells_the_answer(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    model = keras_like(arrays)
    model.graph.output.append(helper.make_tensor_value_info("active2", TensorProto.FLOAT, ["n", 256]))
    record = imported(run, saved(model, tmp_path))
    assert record.imported
    assert "the answer is output 'sum3', one of 2" in record.imported.notes


def test_bytes_cannot_be_told_to_be_shares(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    model = keras_like(arrays, divide=True)
    cast = helper.make_node("Cast", ["bytes"], ["image"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("bytes", TensorProto.UINT8, ["n", 28, 28]))
    path = saved(model, tmp_path)
    assert run("import", path, "--dataset", "digits", "--pixels", "unit", "--run", "theirs") == 2
    assert "takes images as uint8, from 0 to 255: --pixels bytes or inverted" in capsys.readouterr().err
    imported(run, path)


def test_a_checkpoint_that_is_damaged_inside_is_refused(
    run: Run, tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyTorch itself loads it, with other weights."""
    path = tmp_path / "net.pt"
    torch.save({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True).keys() == arrays.keys()
    assert run("import", path, "--dataset", "digits", "--run", "theirs") == 2
    assert "in it is damaged (its checksum): copy or save the file again" in capsys.readouterr().err


@pytest.mark.skipif(not find_spec("openvino"), reason="openvino is an extra")
def test_a_fixed_batch_is_kept_to_in_every_precision(run: Run, tmp_path: Path, arrays: Arrays) -> None:
    model = keras_like(arrays)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    imported(run, saved(model, tmp_path))
    assert run("verify", "--run", "theirs", "--runtime", "openvino", "--threads", 1, "--batch-size", "1,4,7") == 0
