"""What an ONNX graph says of itself."""

from typing import Any

from mnist_bench.core.types import Precision


def effective_precision(graph: Any) -> Precision:
    """Read from a graph's operators and weights in which precision its layers compute."""
    import onnx

    operators = {node.op_type for node in graph.node}
    if "MatMulInteger" in operators:
        return "int8-dynamic"
    if "QuantizeLinear" in operators:
        return "int8"
    halves = [weight for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16]
    return "fp16" if any(len(weight.dims) > 1 for weight in halves) else "fp32"
