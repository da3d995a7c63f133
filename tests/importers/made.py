"""Files that importers read, made here: the specified network in many layouts, and others."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_bench import importers
from mnist_bench.importers import _serve
from mnist_bench.importers._contract import Found, ReadRequest

Sizes = list[str | int | None]
FLOAT = TensorProto.FLOAT
SIZES = (784, 512, 256, 10)


def weights(sizes: tuple[int, ...] = SIZES, dtype: Any = np.float32) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return (weight (outputs, inputs), bias (outputs,)) of each layer."""
    numbers = np.random.default_rng(7)
    pairs = itertools.pairwise(sizes)
    return [
        ((numbers.normal(size=(n_out, n_in)) / n_in**0.5).astype(dtype), numbers.normal(size=n_out).astype(dtype))
        for n_in, n_out in pairs
    ]


def arrays(dtype: Any = np.float32) -> dict[str, NDArray[Any]]:
    """Return the specified network's weights by name."""
    found: dict[str, NDArray[Any]] = {}
    for number, (weight, bias) in enumerate(weights(dtype=dtype), 1):
        found |= {f"fc{number}.weight": weight, f"fc{number}.bias": bias}
    return found


def value(name: str, shape: Sizes | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    stored: dict[str, Any],
    image: Sizes | None = None,
    outputs: list[onnx.ValueInfoProto] | None = None,
    **settings: Any,
) -> onnx.ModelProto:
    """Return a model from `image` to `logits`, unless told otherwise."""
    kind, listed = settings.pop("kind", FLOAT), settings.pop("listed", False)
    shape: Sizes = ["n", 1, 28, 28] if image is None else image
    tensors = [numpy_helper.from_array(np.asarray(held), name) for name, held in stored.items()]
    inputs = [value("image", shape, kind)]
    if listed:
        inputs = [value(one.name, [*one.dims], one.data_type) for one in tensors] + inputs
    graph = helper.make_graph(nodes, "made", inputs, outputs or [value("logits", ["n", 10])], tensors)
    settings = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8, "producer_name": "made"} | settings
    return helper.make_model(graph, **settings)


def node(operator: str, read: list[str], written: list[str] | str, **given: Any) -> onnx.NodeProto:
    written = [written] if isinstance(written, str) else written
    return helper.make_node(operator, read, written, **given)


def mlp(
    function: str = "Relu", sizes: tuple[int, ...] = SIZES, first: str = "Flatten"
) -> tuple[list[Any], dict[str, Any]]:
    """Return nodes from `image` to `logits`, Gemm with transB=1, and what is stored."""
    stored: dict[str, Any] = {}
    nodes, at = [node(first, ["image"], "x")], "x"
    for number, (weight, bias) in enumerate(weights(sizes), 1):
        last = number == len(sizes) - 1
        stored |= {f"w{number}": weight, f"b{number}": bias}
        nodes.append(node("Gemm", [at, f"w{number}", f"b{number}"], "logits" if last else f"h{number}", transB=1))
        if not last:
            nodes.append(node(function, [f"h{number}"], f"a{number}"))
            at = f"a{number}"
    return nodes, stored


def network(**settings: Any) -> bytes:
    """Return the specified network as PyTorch would export it."""
    content: bytes = model(*mlp(settings.pop("function", "Relu")), **settings).SerializeToString()
    return content


def read(content: bytes, folder: Path, output: str = "") -> Found:
    """Read a file as the child does, in this process."""
    kind = importers.kind_of(Path("model"), content)
    (folder / "given").write_bytes(content)
    return _serve.serve(ReadRequest(kind=kind, path=str(folder / "given"), folder=str(folder), output=output))


def weights_of(found: Found, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the weights that were written."""
    from safetensors.numpy import load_file

    assert found.weights_file
    return dict(load_file(folder / found.weights_file))


def answers(found: Found, folder: Path, images: NDArray[np.float32]) -> NDArray[Any]:
    """Return what the graph that was written answers, in ONNX Runtime."""
    import onnxruntime

    assert found.graph_file
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        (folder / found.graph_file).read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [found.signature.output] if found.signature.output else None
    answer: NDArray[Any] = session.run(outputs, {session.get_inputs()[0].name: found.signature.adapt(images)})[0]
    return answer


def expected(images: NDArray[np.float32], function: str = "relu") -> NDArray[np.float64]:
    """Return the specified network's logits, in float64."""
    values = images.reshape(len(images), -1).astype(np.float64)
    for number, (weight, bias) in enumerate(weights()):
        if number:
            values = np.maximum(values, 0) if function == "relu" else 1 / (1 + np.exp(-values))
        values = values @ weight.T.astype(np.float64) + bias
    return values


IMAGES = np.random.default_rng(1).random((3, 1, 28, 28), np.float32)
