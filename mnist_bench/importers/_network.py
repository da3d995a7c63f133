"""The specified network among arrays: finding its weights, evaluating them, writing them, and writing dense layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mnist_bench.core.architecture import HIDDEN_1, LAYERS, PIXELS, SHAPES
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.kinds import Activation
from mnist_bench.core.signature import OURS
from mnist_bench.importers._contract import WEIGHTS_FILE, Ending, Found, Request

Array = NDArray[Any]
Function = Literal["relu", "sigmoid", "tanh", ""]
SHOWN = 8
OPSET, IR_VERSION = 17, 8
"""What every runtime of the last years reads."""
MATRIX = 2
SEED = 20


@dataclass(frozen=True)
class Dense:
    """A layer: weight (outputs, inputs), bias (outputs,), and the activation behind it; "" for none."""

    weight: Array
    bias: Array
    function: Function = ""


def specified_arrays(layers: Sequence[Dense]) -> dict[str, Array] | None:
    """Return the arrays of three layers by the specified network's names, float32; None where they are another's."""
    functions = [layer.function for layer in layers]
    if [layer.weight.T.shape for layer in layers] != list(LAYERS) or len(set(functions[:-1])) != 1:
        return None
    if functions[0] not in ("relu", "sigmoid") or functions[-1]:
        return None
    arrays: dict[str, Array] = {}
    for number, layer in enumerate(layers, 1):
        arrays |= {f"fc{number}.weight": layer.weight, f"fc{number}.bias": layer.bias}
    return in_float32(arrays)


def in_float32(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays in float32.

    Raises:
        ModelRefused: some numbers are none, or too large for that.
    """
    with np.errstate(over="ignore"):
        found = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ModelRefused(f"its {name} holds numbers that are not finite: it comes from a training that diverged")
    return found


def by_shape(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], tuple[str, ...]] | None:
    """Find the specified network's six arrays by their shapes, which all differ; kernels may be (inputs, outputs).

    Args:
        arrays: all arrays of a file, by whatever names.

    Returns:
        The arrays by the specified network's names, float32, and notes; None where other shapes are among them.

    Raises:
        ModelRefused: numbers are not finite.
    """
    found: dict[str, Array] = {}
    turned = []
    for name, array in arrays.items():
        own = next((own for own, shape in SHAPES.items() if array.shape in (shape, shape[::-1])), None)
        if own is None or own in found:
            return None
        if array.shape != SHAPES[own]:
            turned.append(name)
        found[own] = array if array.shape == SHAPES[own] else array.T
    if found.keys() != SHAPES.keys():
        return None
    notes = ["its kernels are (inputs, outputs), and were transposed"] if turned else []
    types = sorted({array.dtype.name for array in found.values()} - {"float32"})
    notes += [f"its weights are {', '.join(types)}, and were converted to float32"] if types else []
    return in_float32({name: found[name] for name in SHAPES}), tuple(notes)


def shapes_of(arrays: Mapping[str, Array]) -> str:
    """Write the shapes of arrays for people."""
    shown = [f"{name} {array.dtype.name} {array.shape}" for name, array in list(arrays.items())[:SHOWN]]
    more = [f"{len(arrays) - SHOWN:,} more"] if len(arrays) > SHOWN else []
    return ", ".join([*shown, *more]) or "nothing"


def not_the_network(arrays: Mapping[str, Array]) -> ModelRefused:
    """Return why bare arrays are refused that are not the specified network's."""
    return ModelRefused(
        f"it holds weights alone, and not those of the network {PIXELS}-{HIDDEN_1}-256-10: {shapes_of(arrays)}; "
        f"only a graph tells what is computed with them: export the model to ONNX"
    )


def logits(arrays: Mapping[str, Array], activation: Activation, images: Array) -> NDArray[np.float64]:
    """Evaluate the specified network in float64 for images of any shape (n, …) that flattens to its inputs."""
    values = images.reshape(len(images), -1).astype(np.float64)
    for number in range(1, len(LAYERS) + 1):
        if number > 1:
            values = np.maximum(values, 0) if activation == "relu" else 1 / (1 + np.exp(-values))
        values = values @ arrays[f"fc{number}.weight"].astype(np.float64).T + arrays[f"fc{number}.bias"]
    return values


def random_images(count: int = 4) -> NDArray[np.float32]:
    """Return images of noise, float32 (count, 1, 28, 28) in [0, 1]: no two pixels are alike, so that none can swap."""
    return np.random.default_rng(SEED).random((count, 1, 28, 28), np.float32)


def what_answers(answers: Array, expected: NDArray[np.float64], tolerance: float) -> Ending | None:
    """Return what answers are of the expected logits, (n, classes); None where they are nothing of them."""
    if answers.shape != expected.shape:
        return None
    log_softmax = expected - np.log(np.exp(expected - expected.max(1, keepdims=True)).sum(1, keepdims=True))
    log_softmax -= expected.max(1, keepdims=True)
    candidates: dict[Ending, Array] = {"logits": expected, "log-softmax": log_softmax, "softmax": np.exp(log_softmax)}
    for ending, values in candidates.items():
        if np.abs(answers.astype(np.float64) - values).max() <= tolerance * np.abs(values).max():
            return ending
    return None


def write_weights(request: Request, arrays: Mapping[str, Array]) -> str:
    """Write weights as a safetensors file, and return its name."""
    from mnist_bench import store

    (request.folder / WEIGHTS_FILE).write_bytes(store.to_safetensors(arrays))
    return WEIGHTS_FILE


def found_dense(
    request: Request, found: Found, layers: Sequence[Dense], scale: tuple[float, float] | None = None
) -> Found:
    """Write dense layers as weights, where they are the specified network's, and as a graph that takes our images.

    Args:
        request: what was read.
        found: what else is known of it.
        layers: from first to last; the last one gives logits.
        scale: what pixels are multiplied by, and what is added, before the first layer; None for nothing.
    """
    arrays = None if scale else specified_arrays(layers)
    function = layers[0].function
    return replace(
        found,
        specified=arrays is not None,
        activation=function if arrays and function in ("relu", "sigmoid") else None,
        classes=len(layers[-1].bias),
        weights_file=write_weights(request, arrays) if arrays else None,
        graph_file=request.write_graph(graph_of(layers, scale)),
    )


def graph_of(layers: Sequence[Dense], scale: tuple[float, float] | None = None) -> bytes:
    """Return dense layers as an ONNX file, float32 `image` (n, 1, 28, 28) to `logits` (n, classes)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    functions = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
    stored: dict[str, Array] = {}
    nodes, at = [helper.make_node("Flatten", ["image"], ["pixels"])], "pixels"
    if scale:
        stored |= {"scale": np.array(scale[0], np.float32), "offset": np.array(scale[1], np.float32)}
        nodes.append(helper.make_node("Mul", [at, "scale"], ["scaled"]))
        nodes.append(helper.make_node("Add", ["scaled", "offset"], [at := "moved"]))
    for number, layer in enumerate(layers, 1):
        last = number == len(layers)
        names, made = [f"fc{number}.weight", f"fc{number}.bias"], "logits" if last else f"sum{number}"
        stored |= in_float32(dict(zip(names, (layer.weight, layer.bias), strict=True)))
        nodes.append(helper.make_node("Gemm", [at, *names], [made], transB=1))
        at = made
        if layer.function and not last:
            nodes.append(helper.make_node(functions[layer.function], [at], [at := f"act{number}"]))
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *OURS.shape]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(layers[-1].bias)]),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, producer_name="mnist-bench", opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def check_chain(layers: Sequence[Dense]) -> None:
    """Raise ModelRefused where layers do not fit one to the next, or the first does not take an image's pixels."""
    sizes = [(layer.weight.shape, layer.bias.shape) for layer in layers]
    wanted = PIXELS
    for weight, bias in sizes:
        if len(weight) != MATRIX or weight[1] != wanted or bias != weight[:1]:
            shown = ", ".join(f"{one} and {other}" for one, other in sizes)
            raise ModelRefused(f"its layers do not fit one to the next, from {PIXELS} pixels on: {shown}")
        wanted = weight[0]
