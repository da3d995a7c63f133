"""What an ONNX graph says of itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import LARGEST_INT16, Saturation

PRODUCTS, QUANTISED_PRODUCTS = ("Gemm", "MatMul"), ("QLinearMatMul", "QGemm")
LARGEST_BYTE = 255
MIDDLE_BYTE = 128  # kernels that need signed weights take this off unsigned ones


def effective_precision(graph: Any) -> Precision:
    """Read from the weights of a graph's matrix products in which precision its layers compute.

    A last layer in float does not make a quantised network a float one; a stray operator makes no network quantised.
    """
    import onnx

    half = onnx.TensorProto.FLOAT16
    stored = {weight.name: weight.data_type for weight in graph.initializer}
    source = {name: node for node in graph.node for name in node.output}
    if any(node.op_type == "MatMulInteger" and node.input[1] in stored for node in graph.node):
        return "int8-dynamic"
    weights = [node.input[1] for node in graph.node if node.op_type in PRODUCTS]
    if any(name in source and source[name].op_type == "DequantizeLinear" for name in weights):
        return "int8"
    if any(node.op_type in QUANTISED_PRODUCTS for node in graph.node):
        return "int8"
    return "fp16" if weights and all(stored.get(name) == half for name in weights) else "fp32"


def saturation(graph: Any) -> Saturation | None:
    """Return whether a graph's int8 products can exceed 16 bits where they are added in pairs; None where it has none.

    x86 processors without VNNI multiply bytes by VPMADDUBSW (Intel SDM, volume 2C): unsigned activations by signed
    weights, the products of inputs 2j and 2j + 1 added to a 16-bit sum that saturates. Signed activations are made
    unsigned first, so that all take values of up to 255.
    """
    sums = [_pair_sums(weight) for weight in _int8_weights(graph)]
    if not sums:
        return None
    largest = max(int(found.max(initial=0)) for found in sums)
    return Saturation(
        largest_sum=largest,
        fits_16_bits=largest <= LARGEST_INT16,
        pairs_beyond=sum(int((found > LARGEST_INT16).sum()) for found in sums),
        pairs=sum(found.size for found in sums),
    )


def _pair_sums(weight: NDArray[np.int64]) -> NDArray[np.int64]:
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
    if node.op_type == "MatMulInteger":
        return str(node.input[1])
    if node.op_type in QUANTISED_PRODUCTS:
        return str(node.input[3])
    operands = [source.get(name) for name in node.input[:2]]
    if node.op_type in PRODUCTS and all(one is not None and one.op_type == "DequantizeLinear" for one in operands):
        return str(operands[1].input[0])  # type: ignore[union-attr]
    return None
