"""In which precision the layers of an ONNX graph compute, told from the weights of its products."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"
FLOAT_PRODUCTS = (
    *("Gemm", "MatMul", "Conv", "ConvTranspose"),
    *("FusedGemm", "FusedMatMul", "FusedConv", "TransposeMatMul", "FusedMatMulActivation", "NhwcFusedConv"),
)
INTEGER_PRODUCTS = ("MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
QUANTISED_PRODUCTS = ("QLinearMatMul", "QGemm", "QLinearConv", "NhwcQLinearConv")
RANGED_AT_RUN_TIME = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
"""Of ONNX Runtime: they have activations of which the range is taken as they come."""
QUANTISED_WEIGHT = 3  # x, its scale, its zero point, w: of QLinearMatMul, QLinearConv and QGemm alike
OF_OTHER_WIDTHS = ("MatMulNBits", "MatMulBnb4", "MatMulFpQ4")
SAME_VALUES = ("Cast", "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten")
HALVES = ("fp16", "bf16")


@dataclass(frozen=True)
class _Constants:
    """What a graph holds: the types of its constants by name, and the node that each other value is from."""

    stored: dict[str, int]
    source: dict[str, Any]

    @classmethod
    def of(cls, graph: Any) -> "_Constants":
        stored = {weight.name: weight.data_type for weight in graph.initializer}
        stored |= {weight.values.name: weight.values.data_type for weight in graph.sparse_initializer}
        for node in graph.node:
            stored |= _constant(node)
        return cls(stored, {name: node for node in graph.node for name in node.output})


def _constant(node: Any) -> dict[str, int]:
    """Return the type of what a node Constant holds, by its name."""
    tensors = [one.t for one in node.attribute if one.name == "value"] if node.op_type == "Constant" else []
    return dict(zip(node.output, (tensor.data_type for tensor in tensors), strict=False))


def effective_precision(graph: Any) -> str:
    """Read from the weights of a graph's products in which precision its layers compute.

    Each weight is followed to the constant that it is made of. A last layer in float does not make a quantised network
    a float one; a stray operator makes no network quantised.

    Returns:
        A `Precision`; "fp64", or "unknown" where the graph has no products of weights, or some that are of neither.
    """
    constants = _Constants.of(graph)
    found = {kind for node in graph.node for kind in _kinds(node, constants)}
    for quantised in ("int8-dynamic", "int8"):
        if quantised in found:
            return quantised
    if len(found) == 1:
        return found.pop()
    return "fp32" if "fp32" in found and UNKNOWN not in found else UNKNOWN


def _kinds(node: Any, constants: _Constants) -> Iterator[str]:
    """Yield the precision of a product of weights; nothing for any other node."""
    if node.op_type in FLOAT_PRODUCTS:
        traced = [kind for name in reversed(node.input[:2]) if (kind := _traced(name, constants))]
        yield from traced[:1]
    elif node.op_type in OF_OTHER_WIDTHS:
        yield UNKNOWN
    elif node.op_type in QUANTISED_PRODUCTS:
        yield "int8" if len(node.input) > QUANTISED_WEIGHT else UNKNOWN
    elif node.op_type in INTEGER_PRODUCTS and _holds_weights(node, constants):
        yield "int8-dynamic" if _is_dynamic(node, constants) else "int8"


def _holds_weights(node: Any, constants: _Constants) -> bool:
    return any(_traced(name, constants) for name in node.input[:2])


def _is_dynamic(node: Any, constants: _Constants) -> bool:
    """Tell whether a product of integers takes the range of its activations as they come."""
    origins = [_origin(name, constants)[1] for name in node.input[:2]]
    known = [origin.op_type for origin in origins if origin is not None]
    return node.op_type in RANGED_AT_RUN_TIME or "QuantizeLinear" not in known


def _origin(name: str, constants: _Constants) -> tuple[str, Any, list[str]]:
    """Follow a value back over nodes that keep it; return its name there, the node that makes it, and types on the way.

    A constant has no node. A graph from anywhere may go in circles: no way is longer than it has nodes.
    """
    types: list[str] = []
    for _ in range(len(constants.source) + 1):
        node = constants.source.get(name)
        if name in constants.stored or node is None:
            return name, None, types
        if node.op_type not in SAME_VALUES or not node.input:
            return name, node, types
        types += [_type(one.i) for one in node.attribute if node.op_type == "Cast" and one.name == "to"]
        name = node.input[0]
    return name, None, types


def _traced(name: str, constants: _Constants) -> str | None:
    """Return in what precision a weight is; None for what is no weight at all."""
    name, node, types = _origin(name, constants)
    if node is None:
        return _lowest([_type(constants.stored[name]), *types]) if name in constants.stored else None
    if node.op_type != "DequantizeLinear":
        return None
    name, before, _ = _origin(node.input[0], constants)
    if before is not None and before.op_type == "QuantizeLinear":  # a weight that is stored in float
        inner = _origin(before.input[0], constants)[0]
        return "int8" if inner in constants.stored else None
    if name not in constants.stored:
        return None
    return "int8" if _type(constants.stored[name]) == "int8" else UNKNOWN


def _lowest(types: list[str]) -> str:
    """Return what is left of values that have had all of these types: half, if any was."""
    halves = [kind for kind in types if kind in HALVES]
    return halves[-1] if halves else types[0]


def _type(number: int) -> str:
    """Name a type of `onnx.TensorProto`."""
    from onnx import TensorProto

    names: dict[int, str] = {
        TensorProto.FLOAT: "fp32",
        TensorProto.DOUBLE: "fp64",
        TensorProto.FLOAT16: "fp16",
        TensorProto.BFLOAT16: "bf16",
        TensorProto.INT8: "int8",
        TensorProto.UINT8: "int8",
    }
    return names.get(number, UNKNOWN)
