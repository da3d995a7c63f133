"""What an ONNX graph says of itself."""

from typing import Any

from mnist_bench.core.types import Precision

PRODUCTS = ("Gemm", "MatMul")


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
    return "fp16" if weights and all(stored.get(name) == half for name in weights) else "fp32"
