"""Telling the specified network in an ONNX graph, in whatever layout; what is told is proved by evaluation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Activation
from mnist_bench.core.signature import Signature
from mnist_bench.importers import _graph, _network
from mnist_bench.importers._contract import Ending, Found
from mnist_bench.importers._graph import View, attributes
from mnist_bench.importers._network import Dense, Function

ENDINGS: dict[str, Ending] = {"Softmax": "softmax", "LogSoftmax": "log-softmax"}
FUNCTIONS: dict[str, Function] = {"Relu": "relu", "Sigmoid": "sigmoid"}
PRODUCTS = (
    *("Gemm", "MatMul", "Conv", "FusedGemm", "FusedMatMul", "FusedConv", "LinearClassifier"),
    *("MatMulInteger", "QLinearMatMul", "QGemm", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
)
SAME_UP_TO_SCALE = ("QuantizeLinear", "DequantizeLinear", *_graph.KEEPS, *_graph.MOVES)
SUMS = ("Add", "Mul")
"""What stands behind a product: its bias, and the scale of quantised ones."""
MOST_STEPS = 64
IMAGES = 4
"""So many are tried, where a file takes any number of them."""
TOLERANCES = {"fp16": 2e-2, "bf16": 1e-1}
TOLERANCE = 1e-4
"""Of the largest logit: float32's rounding is a hundredth of it; half precision has a tolerance of its own."""
IN_COMPANY = 1e-2
"""Of the largest answer: by more the rounding of no precision, in another order, changes it."""


@dataclass
class Chain:
    """Layers that were found, from last to first, on the way back from the logits; `bias` waits for its product."""

    layers: list[Dense] = field(default_factory=list)
    function: Function = ""
    bias: NDArray[Any] | None = None

    def add(self, weight: NDArray[Any], bias: NDArray[Any] | None, function: Function = "") -> bool:
        """Take in a layer with weights (outputs, inputs); tell whether its bias has the shape that it must have."""
        outputs = len(weight)
        bias = np.zeros(outputs, weight.dtype) if bias is None else bias
        if bias.size not in (1, outputs) or (function and self.function):
            return False
        flat = np.broadcast_to(bias.reshape(-1), (outputs,))
        self.layers.append(Dense(weight, flat, self.function or function))
        self.function, self.bias = "", None
        return True


def ending_of(view: View, output: str) -> tuple[Ending, str]:
    """Return what an output is, and the value before its softmax, or, where there is none, before it is cast."""
    ending, before = _ending(view, output)
    return ending, before if before != output else _before_cast(view, output)


def _before_cast(view: View, name: str) -> str:
    """Return the value that a value is cast from at the very end: what that rounds to, the answer's type tells."""
    from onnx import TensorProto

    node = view.source.get(name)
    told = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    if node is None or node.op_type != "Cast" or attributes(node).get("to") not in told:
        return name
    return str(node.input[0])


def _ending(view: View, output: str) -> tuple[Ending, str]:
    at, steps = output, 0
    while (node := view.source.get(at)) is not None and steps < MOST_STEPS:
        if node.op_type in ENDINGS:
            return (ENDINGS[node.op_type], node.input[0]) if _is_over_classes(node) else ("other", output)
        if node.op_type == "Log" and (inner := view.source.get(node.input[0])) is not None:
            known = inner.op_type == "Softmax" and _is_over_classes(inner)
            return ("log-softmax", inner.input[0]) if known else ("other", output)
        if node.op_type in PRODUCTS:
            return ("other" if attributes(node).get("activation") else "logits"), output
        if node.op_type in SUMS:
            return ("logits" if any(_is_product(view, name) for name in node.input) else "other"), output
        if node.op_type not in SAME_UP_TO_SCALE:
            break
        at, steps = node.input[0], steps + 1
    return "other", output


def _is_over_classes(node: Any) -> bool:
    """Tell whether a softmax of (n, classes) is one over the classes of each image: that is every opset's default."""
    return attributes(node).get("axis", -1) in (1, -1)


def _is_product(view: View, name: str) -> bool:
    """Tell whether a value is a product's, scaled and cast at most."""
    for _ in range(MOST_STEPS):
        node = view.source.get(name)
        if node is None or node.op_type in PRODUCTS:
            return node is not None
        if node.op_type not in (*SAME_UP_TO_SCALE, *SUMS):
            return False
        name = next((one for one in node.input if view.constant(one) is None), "")
    return False


def specified(proto: Any, image: str, logits: str, signature: Signature, precision: str) -> "Recognised | None":
    """Return the specified network's weights in a graph; None where it is another, or that cannot be proved.

    Args:
        proto: the model.
        image: the name of its input.
        logits: the name of the value before the softmax.
        signature: of its images.
        precision: in which it computes, see `runtimes.effective_precision`.
    """
    layers = _layers(View.of(proto.graph), image, logits)
    arrays = _network.specified_arrays(layers[::-1]) if layers else None
    if arrays is None:
        return None
    activation: Activation = "relu" if layers[-1].function == "relu" else "sigmoid"
    values = evaluated(proto, image, logits, signature)
    expected = _network.logits(arrays, activation, _network.random_images(signature.batch or IMAGES))
    fits = values is not None and _network.what_answers(values, expected, TOLERANCES.get(precision, TOLERANCE))
    return Recognised(arrays, activation) if fits == "logits" else None


@dataclass(frozen=True)
class Recognised:
    """The specified network's weights by their names, float32, and its activation."""

    arrays: dict[str, NDArray[Any]]
    activation: Activation


def _layers(view: View, image: str, logits: str) -> list[Dense]:
    """Follow a graph back from its logits to its image; return its layers, from last to first, or none."""
    chain, at = Chain(), logits
    for _ in range(MOST_STEPS):
        if at == image:
            return chain.layers if chain.bias is None and not chain.function else []
        node = view.source.get(at)
        before = _step(view, node, chain) if node is not None and node.domain in READ else None
        if before is None:
            return []
        at = before
    return []


READ = (*_graph.STANDARD, "com.microsoft")


def _step(view: View, node: Any, chain: Chain) -> str | None:
    """Take in a node on the way back; return what it reads of the layer before, None where it is no such network's."""
    match node.op_type:
        case "Identity" | "Dropout" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose":
            return str(node.input[0]) if _changes_nothing(view, node) else None
        case "Relu" | "Sigmoid" if not chain.function and chain.bias is None:
            chain.function = FUNCTIONS[node.op_type]
            return str(node.input[0])
        case "Gemm" | "FusedGemm" if chain.bias is None:
            return _gemm(view, node, chain)
        case "Add" if chain.bias is None:
            return _add(view, node, chain)
        case "MatMul":
            weight = view.constant(node.input[1])
            fits = weight is not None and weight.ndim == 2 and chain.add(weight.T, chain.bias)  # noqa: PLR2004
            return str(node.input[0]) if fits else None
    return None


def _changes_nothing(view: View, node: Any) -> bool:
    """Tell whether a node moves values at most: a cast may round them only as floats are rounded."""
    from onnx import TensorProto

    if node.op_type == "Cast":
        floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
        return attributes(node).get("to") in floats
    return node.op_type != "Dropout" or not is_training(view, node)


def is_training(view: View, node: Any) -> bool:
    """Tell whether a Dropout drops anything; what cannot be told may."""
    if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004 ratio, then the mode, since opset 12
        mode = view.constant(node.input[2])
        return mode is None or bool(np.any(mode))
    return False


def _gemm(view: View, node: Any, chain: Chain) -> str | None:
    given = attributes(node)
    plain = not given.get("transA") and given.get("alpha", 1.0) == 1.0 == given.get("beta", 1.0)
    weight = view.constant(node.input[1])
    bias = view.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None  # noqa: PLR2004
    function = given.get("activation", b"").decode("utf-8", "replace") if node.op_type == "FusedGemm" else ""
    known = not function or function in FUNCTIONS
    if not plain or not known or weight is None or weight.ndim != 2 or _lacks(node, bias):  # noqa: PLR2004
        return None
    turned = weight if given.get("transB") else weight.T
    return str(node.input[0]) if chain.add(turned, bias, FUNCTIONS.get(function, "")) else None


def _lacks(node: Any, bias: NDArray[Any] | None) -> bool:
    """Tell whether a Gemm has a bias that is computed."""
    return len(node.input) > 2 and bool(node.input[2]) and bias is None  # noqa: PLR2004


def _add(view: View, node: Any, chain: Chain) -> str | None:
    """Keep a bias for the product before it; either operand may be the bias."""
    for place in (1, 0):
        bias = view.constant(node.input[place])
        if bias is not None and bias.ndim and bias.size == bias.shape[-1]:
            chain.bias = bias
            return str(node.input[1 - place])
    return None


def evaluated(proto: Any, image: str, value: str, signature: Signature) -> NDArray[np.float64] | None:
    """Return what a graph gives random images, as float64; None where it cannot be evaluated here.

    The standard's own evaluator does that; of graphs with others' operators, ONNX Runtime.
    """
    images = signature.adapt(_network.random_images(signature.batch or IMAGES))
    try:
        from onnx.reference import ReferenceEvaluator

        (found,) = ReferenceEvaluator(_graph.cut(proto, value)).run([value], {image: images})
    except Exception:  # noqa: BLE001 whatever an evaluator makes of a stranger's graph
        found = asking(proto, image, value)(images)
    return None if found is None else np.asarray(found, np.float64)


Ask = Callable[[NDArray[Any]], Any]


def takes_one_alone(ask: Ask, signature: Signature) -> bool:
    """Tell whether a graph answers one image and not several, though it tells of any number of them.

    As where an exporter took the batch of its example for a constant.

    Args:
        ask: from `asking`.
        signature: what the graph tells.
    """
    if signature.batch is not None:
        return False
    several, one = (ask(signature.adapt(_network.random_images(count))) for count in (IMAGES, 1))
    return several is None and one is not None


def compares(ask: Ask, found: Found) -> bool:
    """Tell whether a graph answers an image otherwise beside other ones; no, where it cannot be evaluated here.

    What is quantised as it runs has one scale for a whole batch, and does so by design.
    """
    size = found.signature.batch or IMAGES
    if size == 1 or found.precision == "int8-dynamic":
        return False
    images = _network.random_images(2 * size)
    images[size] = images[0]
    first, second = (ask(found.signature.adapt(half)) for half in (images[:size], images[size:]))
    if first is None or second is None or first.shape != second.shape:
        return False
    here, there = np.asarray(first[0], np.float64), np.asarray(second[0], np.float64)
    return bool(np.abs(here - there).max() > IN_COMPANY * max(np.abs(here).max(), np.abs(there).max()))


def asking(proto: Any, image: str, value: str) -> Ask:
    """Open a graph in ONNX Runtime; return what gives one of its values for images, None where it does not."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = _graph.cut(proto, value).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 whatever an engine makes of a stranger's graph
        return lambda _: None

    def ask(images: NDArray[Any]) -> Any:
        try:
            (found,) = session.run([value], {image: images})
        except Exception:  # noqa: BLE001 as above
            return None
        return found

    return ask
