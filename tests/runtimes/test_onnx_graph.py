"""What is read from a graph: its precision, and whether its int8 products can saturate."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_bench.runtimes import effective_precision, pair_sums
from mnist_bench.runtimes._onnx_graph import sums_in_half


def graph(*nodes: onnx.NodeProto, **stored: Any) -> onnx.GraphProto:
    """Return a graph from `x` to `y`."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"]) for name in ("x", "y")]
    return helper.make_graph(nodes, "made", ends[:1], ends[1:], tensors)


def quantised(weight: NDArray[Any], operator: str = "Gemm", **attributes: Any) -> onnx.GraphProto:
    """Return a product in QDQ form, of weights (units, inputs) with transB=1, and (inputs, units) without."""
    return graph(
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["w", "scale"], ["b"]),
        helper.make_node(operator, ["a", "b"], ["y"], **attributes),
        w=weight,
        scale=np.float32(1),
        zero=np.uint8(0),
    )


@pytest.mark.parametrize(
    ("weights", "largest", "beyond", "pairs"),
    [
        ([100, 28], 255 * 128, 0, 1),
        ([100, 29], 255 * 129, 1, 1),
        ([-100, -29], 255 * 129, 1, 1),
        ([127, -127], 255 * 127, 0, 1),  # activations of 255 and 0
        ([1, 127, 127, 1], 255 * 128, 0, 2),  # neighbours are 0 and 1, 2 and 3: never 1 and 2
        ([0, 0, 127], 255 * 127, 0, 2),  # the last one is alone
        ([0, 0], 0, 0, 1),
    ],
)
def test_pairs_of_neighbouring_inputs_are_summed_for_the_worst_activations(
    weights: list[int], largest: int, beyond: int, pairs: int
) -> None:
    found = pair_sums(quantised(np.array([weights], np.int8), transB=1))
    assert found
    assert (found.largest, found.beyond, found.pairs) == (largest, beyond, pairs)
    assert (beyond == 0) is (largest <= 32_767)


def test_all_forms_of_a_quantised_product_are_read_alike() -> None:
    weight = np.array([[127, 127, 1], [1, 2, 3]], np.int8)  # units, inputs
    forms = [
        quantised(weight, transB=1),
        quantised(weight.T),
        quantised(weight.T, "MatMul"),
        quantised((weight.astype(int) + 128).astype(np.uint8), transB=1),
        graph(helper.make_node("MatMulInteger", ["q", "w"], ["y"]), w=weight.T),
        graph(helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "s", "z"], ["y"]), w=weight.T),
        graph(
            helper.make_node("QGemm", ["q", "s", "z", "w", "s", "z"], ["y"], "", "", "com.microsoft", transB=1),
            w=weight,
        ),
    ]
    for form in forms:
        found = pair_sums(form)
        assert found
        assert (found.largest, found.beyond, found.pairs) == (255 * 254, 1, 4)


def test_what_multiplies_no_bytes_has_no_sums_to_look_at() -> None:
    weight = np.ones((4, 4), np.float32)
    assert pair_sums(graph(helper.make_node("Gemm", ["x", "w"], ["y"]), w=weight)) is None
    weights_alone = graph(
        helper.make_node("DequantizeLinear", ["w", "scale"], ["b"]),
        helper.make_node("MatMul", ["x", "b"], ["y"]),
        w=np.ones((4, 4), np.int8),
        scale=np.float32(1),
    )
    assert pair_sums(weights_alone) is None


def test_one_product_in_half_makes_sums_in_half() -> None:
    """Of the others an engine may have cast the weights, where it has no kernel for what follows."""
    first, second = helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("FusedGemm", ["h", "v"], ["y"])
    half, single = np.ones((4, 4), np.float16), np.ones((4, 4), np.float32)
    assert sums_in_half(graph(first, second, w=single, v=half))
    assert not sums_in_half(graph(first, second, w=single, v=single))
    assert not sums_in_half(graph(helper.make_node("Relu", ["w"], ["y"]), w=half))


def test_quantised_operators_are_int8() -> None:
    weight = np.ones((4, 4), np.int8)
    product = helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "s", "z"], ["y"])
    assert effective_precision(graph(product, w=weight)) == "int8"


HALF, SINGLE, WHOLE = np.ones((4, 4), np.float16), np.ones((4, 4), np.float32), np.ones((4, 4), np.int8)
DOUBLE = np.ones((4, 4), np.float64)


def node(operator: str, read: list[str], written: str, **given: Any) -> onnx.NodeProto:
    return helper.make_node(operator, read, [written], **given)


def constant(name: str, value: NDArray[Any]) -> onnx.NodeProto:
    return node("Constant", [], name, value=numpy_helper.from_array(value))


RANGED = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])]
STATIC = [node("QuantizeLinear", ["x", "s", "z"], "q")]
DEQUANTISED = node("DequantizeLinear", ["w", "s"], "b")
TRANSPOSED = node("Transpose", ["b"], "t")
FORMS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], str]] = {
    "float32": ([node("Gemm", ["x", "w"], "y")], {"w": SINGLE}, "fp32"),
    "float64": ([node("Gemm", ["x", "w"], "y")], {"w": DOUBLE}, "fp64"),
    "float16": ([node("Conv", ["x", "w"], "y")], {"w": HALF}, "fp16"),
    "weights on the left": ([node("MatMul", ["w", "x"], "y")], {"w": HALF}, "fp16"),
    "a Constant": ([constant("w", HALF), node("MatMul", ["x", "w"], "y")], {}, "fp16"),
    "half that is cast up": (
        [node("Cast", ["w"], "c", to=TensorProto.FLOAT), node("Transpose", ["c"], "t"), node("Gemm", ["x", "t"], "y")],
        {"w": HALF},
        "fp16",
    ),
    "cast down": (
        [node("Cast", ["w"], "c", to=TensorProto.BFLOAT16), node("Gemm", ["x", "c"], "y")],
        {"w": SINGLE},
        "bf16",
    ),
    "half and single": (
        [node("Gemm", ["x", "v"], "h"), node("Gemm", ["h", "w"], "y")],
        {"v": HALF, "w": SINGLE},
        "fp32",
    ),
    "QDQ": ([DEQUANTISED, node("MatMul", ["x", "b"], "y")], {"w": WHOLE}, "int8"),
    "QDQ, transposed": ([DEQUANTISED, TRANSPOSED, node("MatMul", ["x", "t"], "y")], {"w": WHOLE}, "int8"),
    "QDQ of stored floats": (
        [
            node("QuantizeLinear", ["w", "s"], "i"),
            node("DequantizeLinear", ["i", "s"], "b"),
            node("MatMul", ["x", "b"], "y"),
        ],
        {"w": SINGLE},
        "int8",
    ),
    "QDQ of 16 bits": (
        [DEQUANTISED, node("MatMul", ["x", "b"], "y")],
        {"w": np.ones((4, 4), np.int16)},
        "unknown",
    ),
    "QLinearConv": ([node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], "y")], {"w": WHOLE}, "int8"),
    "QGemm": ([node("QGemm", ["q", "s", "z", "w", "s", "z"], "y", domain="com.microsoft")], {"w": WHOLE}, "int8"),
    "MatMulInteger": ([*RANGED, node("MatMulInteger", ["q", "w", "z"], "y")], {"w": WHOLE}, "int8-dynamic"),
    "ConvInteger": ([*RANGED, node("ConvInteger", ["q", "w", "z"], "y")], {"w": WHOLE}, "int8-dynamic"),
    "MatMulInteger of a known range": ([*STATIC, node("MatMulInteger", ["q", "w", "z"], "y")], {"w": WHOLE}, "int8"),
    "DynamicQuantizeMatMul": ([node("DynamicQuantizeMatMul", ["x", "w", "s"], "y")], {"w": WHOLE}, "int8-dynamic"),
    "a last layer in float": (
        [DEQUANTISED, node("MatMul", ["x", "b"], "h"), node("Gemm", ["h", "v"], "y")],
        {"w": WHOLE, "v": SINGLE},
        "int8",
    ),
    "four bits": ([node("MatMulNBits", ["x", "w", "s"], "y")], {"w": np.ones((4, 4), np.uint8)}, "unknown"),
    "no products": ([node("Relu", ["x"], "y")], {}, "unknown"),
    "no weights": ([node("MatMul", ["x", "x"], "y")], {}, "unknown"),
    "computed weights": ([node("Exp", ["w"], "e"), node("MatMul", ["x", "e"], "y")], {"w": SINGLE}, "unknown"),
    "a circle": ([node("Cast", ["b"], "a"), node("Cast", ["a"], "b"), node("Gemm", ["x", "b"], "y")], {}, "unknown"),
}


@pytest.mark.parametrize("name", FORMS)
def test_precision_is_told_from_where_weights_come_from(name: str) -> None:
    nodes, stored, precision = FORMS[name]
    assert effective_precision(graph(*nodes, **stored)) == precision
