"""What an ONNX file says of itself, and whether one from elsewhere is what it should be."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import ModelRefused, Unsupported
from mnist_bench.core.kinds import LARGEST_BYTE, LARGEST_INT16, MIDDLE_BYTE, Precision
from mnist_bench.runtimes._contract import ACTIVATED, DENSE, Model, PairSums, layer_names

INTEGER_PRODUCTS = ("MatMulInteger", "DynamicQuantizeMatMul")
PRODUCTS, QUANTISED_PRODUCTS = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul"), ("QLinearMatMul", "QGemm")
SIGNATURE = [[1, 28, 28], [10]]  # without the batch
FLOAT = 1  # onnx.TensorProto.FLOAT
LAYER_KINDS = {
    **dict.fromkeys((*PRODUCTS, "Add"), DENSE),
    **dict.fromkeys(("Relu", "Sigmoid"), ACTIVATED),
    **dict.fromkeys(("Reshape", "Flatten", "Identity", "Cast"), ""),  # of another shape or type, and the same values
}


def parsed(model: Model) -> tuple[Any, int | None]:
    """Parse a file; of a foreign one, check that it is a self-contained model of this signature.

    Returns:
        The `ModelProto`, and the batch size of a foreign file where that is fixed.

    Raises:
        ModelRefused: it is no such file.
    """
    import onnx

    with _refusal():
        proto = onnx.load_model_from_string(model.content)
    if _external(proto):
        raise ModelRefused("it keeps its weights in other files: export it in one (external_data=False)")
    if not model.foreign:
        return proto, model.batch
    with _refusal():
        onnx.checker.check_model(proto, full_check=True)
    return proto, _checked_batch(proto.graph)


def may_point_elsewhere(content: bytes) -> bool:
    """Tell whether a file may keep tensors in other files, which it names as their `location`; without parsing it."""
    return b"location" in content


@contextlib.contextmanager
def _refusal() -> Iterator[None]:
    """Turn whatever a parser or a checker raises into a refusal in one line."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ModelRefused(f"it is not a valid ONNX model: {str(error).strip() or type(error).__name__}") from error


def _external(message: Any) -> bool:
    """Tell whether any tensor, however deep within a protobuf message, is kept in another file."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        return bool(message.data_location == onnx.TensorProto.EXTERNAL)
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if hasattr(value, "__len__") else [value]
            if any(_external(part) for part in parts):
                return True
    return False


def _checked_batch(graph: Any) -> int | None:
    """Return the batch size, where it is fixed; refuse another signature."""
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    shapes = [[_size(size) for size in value.type.tensor_type.shape.dim] for value in (*inputs, *graph.output)]
    kinds = {value.type.tensor_type.elem_type for value in (*inputs, *graph.output)}
    sizes = [shape[0] for shape in shapes if shape and shape[0] is not None]
    if (
        any(size < 1 for size in sizes)
        or len(inputs) != 1
        or len(graph.output) != 1
        or kinds != {FLOAT}
        or [shape[1:] for shape in shapes] != SIGNATURE
    ):
        found = ", ".join(
            f"{value.name} {shape}" for value, shape in zip((*inputs, *graph.output), shapes, strict=True)
        )
        raise ModelRefused(f"it has another signature ({found}): float32 (n, 1, 28, 28) to float32 (n, 10) is needed")
    return shapes[0][0]


def _size(dimension: Any) -> int | None:
    return dimension.dim_value if dimension.HasField("dim_value") else None


def effective_precision(graph: Any) -> Precision:
    """Read from the weights of a graph's matrix products in which precision its layers compute.

    A last layer in float does not make a quantised network a float one; a stray operator makes no network quantised.
    """
    import onnx

    half = onnx.TensorProto.FLOAT16
    stored = {weight.name: weight.data_type for weight in graph.initializer}
    source = {name: node for node in graph.node for name in node.output}
    if any(node.op_type in INTEGER_PRODUCTS and node.input[1] in stored for node in graph.node):
        return "int8-dynamic"
    weights = [node.input[1] for node in graph.node if node.op_type in PRODUCTS]
    if any(name in source and source[name].op_type == "DequantizeLinear" for name in weights):
        return "int8"
    if any(node.op_type in QUANTISED_PRODUCTS for node in graph.node):
        return "int8"
    return "fp16" if weights and all(stored.get(name) == half for name in weights) else "fp32"


def sums_in_half(graph: Any) -> bool:
    """Tell whether any matrix product of an optimised graph is one of float16: others may have been cast to float32."""
    import onnx

    half = {weight.name for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16}
    return any(half.intersection(node.input) for node in graph.node if node.op_type in PRODUCTS)


def pair_sums(graph: Any) -> PairSums | None:
    """Return what a graph's int8 products can come to where they are added in pairs; None where it has none.

    x86 processors without VNNI multiply bytes by VPMADDUBSW (Intel SDM, volume 2C): unsigned activations by signed
    weights, the products of inputs 2j and 2j + 1 added to a 16-bit sum that saturates. Signed activations are made
    unsigned first, so that all take values of up to 255.
    """
    sums = [largest_pair_sums(weight) for weight in _int8_weights(graph)]
    if not sums:
        return None
    return PairSums(
        largest=max(int(found.max(initial=0)) for found in sums),
        beyond=sum(int((found > LARGEST_INT16).sum()) for found in sums),
        pairs=sum(found.size for found in sums),
    )


def largest_pair_sums(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, of weights (units, inputs), the largest magnitude of each pair's sum: (units, pairs).

    Activations are never negative: the worst case takes the weights of one sign alone.
    """
    even = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2)))
    first, second = even[:, 0::2], even[:, 1::2]
    positive = np.maximum(first, 0) + np.maximum(second, 0)
    negative = np.maximum(-first, 0) + np.maximum(-second, 0)
    return np.asarray(LARGEST_BYTE * np.maximum(positive, negative), np.int64)


def _int8_weights(graph: Any) -> Iterator[NDArray[np.int64]]:
    """Yield the weights of products whose activations are int8 too, as signed integers (units, inputs)."""
    from onnx import helper, numpy_helper

    stored = {weight.name: weight for weight in graph.initializer}
    source = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        tensor = stored.get(_quantised_weight(node, source) or "")
        if tensor is None or len(tensor.dims) != 2:  # noqa: PLR2004 a matrix
            continue
        values = numpy_helper.to_array(tensor)
        if values.dtype not in (np.int8, np.uint8):
            continue
        signed = values.astype(np.int64) - (MIDDLE_BYTE if values.dtype == np.uint8 else 0)
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        yield signed if attributes.get("transB") else signed.T


def _quantised_weight(node: Any, source: dict[str, Any]) -> str | None:
    """Return the name of the tensor that holds a product's quantised weights; None for what multiplies no integers."""
    if node.op_type in INTEGER_PRODUCTS:
        return str(node.input[1])
    if node.op_type in QUANTISED_PRODUCTS:
        return str(node.input[3])
    operands = [source.get(name) for name in node.input[:2]]
    if node.op_type in PRODUCTS and all(one is not None and one.op_type == "DequantizeLinear" for one in operands):
        return str(operands[1].input[0])  # type: ignore[union-attr]
    return None


def showing_layers(model: Model) -> tuple[Any, list[str]]:
    """Return a model whose outputs are the values of its layers, from first to last, and the layers' names.

    Raises:
        Unsupported: it is no chain of dense layers and activations.
    """
    import onnx

    proto = parsed(model)[0]
    found = _layer_values(proto.graph)
    names = layer_names([kind for _, kind in found])
    del proto.graph.output[:]
    # An output without a type has the one that is inferred; after a Cast the last layer is not the output itself.
    proto.graph.output.extend(onnx.ValueInfoProto(name=value) for value, _ in found)
    return proto, names


def _layer_values(graph: Any) -> list[tuple[str, str]]:
    """Follow a graph from its image to its logits; return the names of its layers' values, with their kinds."""
    stored = {weight.name for weight in graph.initializer}
    at = next(value.name for value in graph.input if value.name not in stored)
    found: list[tuple[str, str]] = []
    for _ in graph.node:  # no chain is longer
        readers = [node for node in graph.node if at in node.input]
        if len(readers) != 1 or readers[0].op_type not in LAYER_KINDS:
            what = f"a node {readers[0].op_type}" if len(readers) == 1 else f"{len(readers)} nodes that read {at}"
            raise Unsupported(f"its layers cannot be told apart: it has {what}")
        (node,) = readers
        at, kind = node.output[0], LAYER_KINDS[node.op_type]
        if node.op_type == "Add" and found and found[-1][1] == DENSE:
            found.pop()  # a product without its bias is no layer
        if kind:
            found.append((at, kind))
        if at == graph.output[0].name:
            return found
    raise Unsupported("its layers cannot be told apart: its graph has no way from the image to the logits")
