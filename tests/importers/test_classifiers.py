"""Classifiers that are neither graphs nor programs: scikit-learn's by skops, Keras's archives, ONNX Runtime's files."""

import io
import itertools
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from mnist_bench import environment
from mnist_bench.core.errors import EnvironmentProblem, ModelRefused
from tests.importers import made

SMALL = (784, 16, 12, 10)


def classifier(sizes: tuple[int, ...] = made.SIZES, activation: str = "relu", classes: int = 10) -> MLPClassifier:
    """Return a classifier that was fitted, with weights of our own."""
    numbers = np.random.default_rng(0)
    found = MLPClassifier(sizes[1:-1], activation=activation, max_iter=1)
    with warnings.catch_warnings(action="ignore"):
        found.fit(numbers.random((classes * 3, 784), np.float32), np.tile(np.arange(classes), 3))
    if classes == 10:
        found.coefs_ = [weight.T for weight, _ in made.weights(sizes)]
        found.intercepts_ = [bias for _, bias in made.weights(sizes)]
    return found


@pytest.mark.parametrize(("activation", "ours"), [("relu", "relu"), ("logistic", "sigmoid")])
def test_a_classifier_with_the_specified_weights(activation: str, ours: str, tmp_path: Path) -> None:
    found = made.read(skops.io.dumps(classifier(activation=activation)), tmp_path)
    assert (found.kind, found.specified, found.activation, found.ending) == ("scikit-learn", True, ours, "logits")
    assert found.signature.is_ours
    assert "softmax of predict_proba is left out" in found.notes[0]
    np.testing.assert_allclose(
        made.answers(found, tmp_path, made.IMAGES), made.expected(made.IMAGES, ours), rtol=1e-4, atol=1e-4
    )
    for name, array in made.weights_of(found, tmp_path).items():
        np.testing.assert_array_equal(array, made.arrays()[name])


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_a_classifier_of_other_sizes_comes_as_a_graph(activation: str, tmp_path: Path) -> None:
    theirs = classifier(SMALL, activation)
    found = made.read(skops.io.dumps(theirs), tmp_path)
    assert (found.specified, found.weights_file, found.classes) == (False, None, 10)
    answers = np.exp(made.answers(found, tmp_path, made.IMAGES).astype(float))
    expected = theirs.predict_proba(made.IMAGES.reshape(3, -1))
    np.testing.assert_allclose(answers / answers.sum(1, keepdims=True), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (classifier((784, 4, 1), classes=2), "logistic.*three classes or more"),
        (MLPClassifier((5,)), "never fitted"),
        (LogisticRegression(), "(it is a |it holds .*)LogisticRegression.*an MLPClassifier alone is read"),
        (classifier((50, 4, 10)), "do not fit one to the next, from 784 pixels on"),
    ],
    ids=["two classes", "unfitted", "another model", "other images"],
)
def test_other_models_of_scikit_learn_are_refused(model: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=said):
        made.read(skops.io.dumps(model), tmp_path)


def dense(name: str, activation: str = "linear", **more: Any) -> dict[str, Any]:
    return layer("Dense", name, activation=activation, use_bias=True, **more)


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **settings}, "registered_name": None}


def chain(function: str = "relu", last: str = "softmax") -> list[dict[str, Any]]:
    return [
        layer("InputLayer", "input", batch_shape=[None, 28, 28]),
        layer("Flatten", "flat"),
        dense("first", function),
        layer("Dropout", "drop", rate=0.2),
        dense("second", function),
        dense("third", last),
    ]


def linked(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return layers of a functional model, each of which reads the one before."""
    for before, one in itertools.pairwise(layers):
        history = {"class_name": "__keras_tensor__", "config": {"keras_history": [before["config"]["name"], 0, 0]}}
        one["inbound_nodes"] = [{"args": [history], "kwargs": {}}]
    return layers


def weights(sizes: tuple[int, ...] = made.SIZES) -> bytes:
    """Return weights as Keras 3 writes them: named by class and in order, whatever the layers are called."""
    written = io.BytesIO()
    with h5py.File(written, "w") as file:
        for place, (weight, bias) in enumerate(made.weights(sizes)):
            group = file.create_group(f"layers/{f'dense_{place}' if place else 'dense'}/vars")
            group["0"], group["1"] = weight.T, bias
        file.create_group("layers/flatten/vars")
        file.create_group("optimizer/vars")["0"] = np.int64(3)
    return written.getvalue()


def keras(layers: list[dict[str, Any]], kind: str = "Sequential", held: bytes | None = None) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.12.0"}))
        config = {"module": "keras", "class_name": kind, "config": {"name": "model", "layers": layers}}
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights() if held is None else held)
    return written.getvalue()


SCALED = layer("Rescaling", "scale", scale=1 / 255, offset=0.0)
SPECIFIED: dict[str, tuple[bytes, str]] = {
    "Sequential": (keras(chain()), "relu"),
    "Functional": (keras(linked(chain("sigmoid")), "Functional"), "sigmoid"),
    "logits": (keras(chain(last="linear")), "relu"),
    "layers of activations": (
        keras(
            [
                dense("a"),
                layer("ReLU", "b"),
                dense("c"),
                layer("Activation", "d", activation="relu"),
                dense("e"),
                layer("Softmax", "f"),
            ]
        ),
        "relu",
    ),
    "scaled by 1/255": (keras([SCALED, *chain()]), "relu"),
}


@pytest.mark.parametrize("name", SPECIFIED)
def test_the_specified_network_of_keras(name: str, tmp_path: Path) -> None:
    content, activation = SPECIFIED[name]
    found = made.read(content, tmp_path)
    assert (found.kind, found.specified, found.activation, found.classes) == ("keras", True, activation, 10)
    assert (found.producer, found.ending, found.signature.is_ours) == ("keras 3.12.0", "logits", True)
    assert ("softmax" in "; ".join(found.notes)) is (name != "logits")
    expected = made.expected(made.IMAGES, activation)
    np.testing.assert_allclose(made.answers(found, tmp_path, made.IMAGES), expected, rtol=1e-4, atol=1e-4)
    for key, array in made.weights_of(found, tmp_path).items():
        np.testing.assert_array_equal(array, made.arrays()[key])


def test_a_scale_of_its_own_stays_in_the_graph(tmp_path: Path) -> None:
    found = made.read(keras([layer("Rescaling", "s", scale=1 / 127.5, offset=-1), *chain()]), tmp_path)
    assert (found.specified, found.signature.pixels) == (False, "bytes")
    expected = made.expected(made.IMAGES * 255 / 127.5 - 1)
    np.testing.assert_allclose(made.answers(found, tmp_path, made.IMAGES), expected, rtol=1e-3, atol=1e-3)


def test_keras_of_other_sizes_comes_as_a_graph(tmp_path: Path) -> None:
    found = made.read(keras(chain("tanh"), held=weights(SMALL)), tmp_path)
    assert (found.specified, found.weights_file) == (False, None)
    assert made.answers(found, tmp_path, made.IMAGES).shape == (3, 10)


def test_keras_wants_what_its_extra_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_bench.importers import keras as importer

    oldest = ".".join(map(str, importer.OLDEST_H5PY))
    assert environment.extras()["keras"] == [f"h5py>={oldest}"]
    monkeypatch.setattr(importer, "OLDEST_H5PY", (99,))
    with pytest.raises(EnvironmentProblem, match=r"is older than 99; mnist-bench runtimes --install keras"):
        made.read(keras(chain()), tmp_path)


def linking(kind: str, folder: Path) -> bytes:
    """Return weights whose first kernel lies in another file."""
    other, written = folder / "other.h5", io.BytesIO(weights())
    with h5py.File(other, "w") as file:
        file["0"] = made.weights()[0][0].T
    with h5py.File(written, "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        if kind == "link":
            group["0"] = h5py.ExternalLink(str(other), "0")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/layers/dense_1/vars/0")
        elif kind == "raw":
            group.create_dataset("0", (784, 512), "f4", external=[(str(other), 0, 784 * 512 * 4)])
        else:
            layout = h5py.VirtualLayout((784, 512), "f4")
            layout[:] = h5py.VirtualSource(str(other), "0", (784, 512))
            group.create_virtual_dataset("0", layout)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["link", "soft link", "raw", "virtual"])
def test_weights_of_keras_in_other_files_are_not_read(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="not floats in its own file"):
        made.read(keras(chain(), held=linking(kind, tmp_path)), tmp_path)


def test_an_array_of_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    written = io.BytesIO()
    with h5py.File(written, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (784, 10**9), "f4", chunks=(784, 1024), compression="gzip")
        group["1"] = np.zeros(3, "f4")
    with pytest.raises(ModelRefused, match="more than 256 MiB are not read"):
        made.read(keras([dense("a")], held=written.getvalue()), tmp_path)


CONV = layer("Conv2D", "conv2d", filters=3)
REFUSED: dict[str, tuple[bytes, str]] = {
    "another layer": (keras([CONV, *chain()]), "layer Conv2D 'conv2d' is not read: export the model to ONNX"),
    "another model": (keras(chain(), "Mine"), "it is a Mine, and only Sequential and Functional are read"),
    "another function": (keras(chain("gelu")), "layer Dense 'first' has the activation 'gelu', which is not read"),
    "another ending": (keras(chain(last="relu")), "ends in relu, and not in logits or a softmax"),
    "behind a softmax": (keras([*chain(), layer("Activation", "a", activation="relu")]), "stands behind a softmax"),
    "no layers": (keras([layer("Flatten", "f")]), "has no dense layers"),
    "no weights": (keras([*chain(last="linear"), dense("fourth")]), "holds no layers/dense_3/vars, the weights"),
    "sizes": (keras(chain(), held=weights((100, 5, 5, 10))), "do not fit one to the next"),
    "no chain": (keras(linked(chain())[::-1], "Functional"), "only chains are read"),
    "no HDF5": (keras(chain(), held=b"no"), "model.weights.h5 cannot be read"),
    "nonsense": (keras([3]), "describes a layer that is none"),  # type: ignore[list-item]
    "steering words": (keras([layer("\x1b[2J", "x")]), "is not read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_models_of_keras_are_refused(name: str, tmp_path: Path) -> None:
    content, said = REFUSED[name]
    with pytest.raises(ModelRefused, match=said) as refused:
        made.read(content, tmp_path)
    assert "\x1b" not in str(refused.value)


def test_json_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("config.json", '{"a":' * 100_000)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelRefused, match=r"config\.json is not JSON"):
        made.read(written.getvalue(), tmp_path)


def test_files_of_onnx_runtime_are_looked_into(tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(made.network(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    found = made.read(content, tmp_path)
    assert (found.kind, found.specified, found.graph_file, found.opens) == ("ort", True, "graph.onnx", ("ort",))
    assert (found.precision, found.classes, found.signature.is_ours) == ("fp32", 10, True)
    assert (tmp_path / "graph.onnx").exists()
    with pytest.raises(ModelRefused, match="ONNX Runtime cannot open it"):
        made.read(content[:2000], tmp_path)
    assert onnx.load_model_from_string(made.network()).graph.name == "made"
