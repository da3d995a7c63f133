"""Reading quantised graphs, as ONNX Runtime's quantiser writes them, and refusing others."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from mnist_bench.core.kinds import Activation
from mnist_bench.parity._int8 import certify_steps
from mnist_bench.parity._steps import Activate, NotCovered, Product, Quantise, QuantiseByRange, Shift, steps_of

SIZES = (12, 9, 7, 4)
IMAGES = np.random.default_rng(0).random((200, SIZES[0]), np.float32)


def float_graph(activation: Activation) -> onnx.ModelProto:
    """A dense network with random weights, as exporters write it: Gemm and an activation, in turns."""
    random = np.random.default_rng(1)
    nodes, weights, at = [], [], "image"
    for layer, (inputs, outputs) in enumerate(pairwise(SIZES)):
        weights.append(
            numpy_helper.from_array(random.normal(0, 0.5, (outputs, inputs)).astype(np.float32), f"w{layer}")
        )
        weights.append(numpy_helper.from_array(random.normal(0, 0.1, outputs).astype(np.float32), f"b{layer}"))
        last = layer == len(SIZES) - 2
        name = "logits" if last else f"sum{layer}"
        nodes.append(helper.make_node("Gemm", [at, f"w{layer}", f"b{layer}"], [name], transB=1, name=f"gemm{layer}"))
        if not last:
            kind = "Relu" if activation == "relu" else "Sigmoid"
            nodes.append(helper.make_node(kind, [name], [f"lit{layer}"], name=f"act{layer}"))
            at = f"lit{layer}"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIZES[0]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", SIZES[-1]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """The images, once."""

    def __init__(self) -> None:
        self.batches = iter([{"image": IMAGES}])

    def get_next(self) -> Any:
        return next(self.batches, None)


FORMS: dict[str, dict[str, Any]] = {
    "QDQ": {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QInt8},
    "QDQ unsigned": {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QUInt8},
    "QDQ u8u8": {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QUInt8,
    },
    "QDQ by tensor": {"quant_format": QuantFormat.QDQ, "per_channel": False},
    "QOperator": {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8},
}


def quantised(folder: Path, activation: Activation, form: str) -> bytes:
    """Quantise the network, all layers of it but in the first form, as its quantiser does by itself."""
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(float_graph(activation), source)
    common = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True}
    if form == "by range":
        quantize_dynamic(source, target, **common)
    else:
        excluded = ["gemm2"] if form == "QDQ" else []
        quantize_static(source, target, Calibration(), nodes_to_exclude=excluded, **{**common, **FORMS[form]})
    return target.read_bytes()


def asked(content: bytes, images: NDArray[np.float32], *, optimised: bool) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(None, {"image": images})[0]
    return logits


@pytest.mark.processors
@pytest.mark.parametrize("optimised", [False, True], ids=["as written", "optimised"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("form", [*FORMS, "by range"])
def test_onnxruntime_stays_within_the_intervals(
    form: str, activation: Activation, optimised: bool, tmp_path: Path
) -> None:
    content = quantised(tmp_path, activation, form)
    steps = steps_of(content)
    found = certify_steps(steps, IMAGES, batches=True)
    given = asked(content, IMAGES, optimised=optimised)
    covered = ~found.saturates
    off = np.abs(given.astype(np.float64) - found.bounds.logits)[covered]
    assert (off <= found.bounds.logit_bounds[covered]).all()
    assert (given.argmax(1) == found.bounds.predictions)[found.bounds.certified].all()
    # Of unsigned weights kernels take 128 off where they need signed ones, and what is left may saturate.
    assert (found.bounds.certified | found.saturates).mean() > 0.5
    assert not found.saturates.any() or form == "QDQ u8u8"
    assert any(isinstance(step, Product) and step.integers is not None for step in steps)


def test_a_network_is_read_as_it_was_written(tmp_path: Path) -> None:
    kinds = [type(step) for step in steps_of(quantised(tmp_path, "sigmoid", "QDQ"))]
    hidden = [Product, Quantise, Activate, Quantise]
    assert kinds == [Quantise, *hidden, *hidden, Product]
    assert [type(step) for step in steps_of(quantised(tmp_path, "relu", "by range"))] == [
        *([QuantiseByRange, Product, Shift, Activate] * 2),
        *(QuantiseByRange, Product, Shift),
    ]


def test_both_forms_of_one_file_are_the_same_network(tmp_path: Path) -> None:
    one, other = (steps_of(quantised(tmp_path, "relu", form)) for form in ("QDQ unsigned", "QOperator"))
    first, second = (certify_steps(steps, IMAGES).bounds for steps in (one, other))
    assert np.abs(first.logits - second.logits).max() < 0.1


def nodes_of(model: Any, kind: str) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == kind]


def with_softmax(model: Any) -> None:
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Softmax", ["before"], ["logits"]))


def with_another_scale(model: Any) -> None:
    node = nodes_of(model, "DequantizeLinear")[-1]
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.77, np.float32), "odd"))
    node.input[1] = "odd"


def with_a_negative_scale(model: Any) -> None:
    node = nodes_of(model, "QuantizeLinear")[0]
    model.graph.initializer.append(numpy_helper.from_array(np.array(-1, np.float32), "odd"))
    node.input[1] = "odd"


def with_a_branch(model: Any) -> None:
    model.graph.node.append(helper.make_node("Relu", ["image"], ["aside"]))


def with_a_scaled_product(model: Any) -> None:
    gemm = nodes_of(model, "Gemm")[0]
    del gemm.attribute[:]
    gemm.attribute.extend([helper.make_attribute("alpha", 2.0), helper.make_attribute("transB", 1)])


def with_weights_of_the_image(model: Any) -> None:
    nodes_of(model, "Gemm")[0].input[1] = "image"


def with_an_output_type(model: Any) -> None:
    node = nodes_of(model, "QuantizeLinear")[0]
    del node.input[2:]
    node.attribute.append(helper.make_attribute("output_dtype", TensorProto.INT8))


def with_relu_of_integers(model: Any) -> None:
    node = nodes_of(model, "QuantizeLinear")[0]
    model.graph.node.append(helper.make_node("Relu", [node.output[0]], ["clipped"]))
    reader = next(one for one in model.graph.node if node.output[0] in one.input and one.op_type != "Relu")
    reader.input[0] = "clipped"


def with_a_function_called_relu(model: Any) -> None:
    body = [helper.make_node("Neg", ["x"], ["y"])]
    opset = helper.make_opsetid("", 18)
    model.functions.append(helper.make_function("own", "Relu", ["x"], ["y"], body, [opset]))


def with_an_operator_of_somebody_s(model: Any) -> None:
    nodes_of(model, "Gemm")[0].domain = "own"


def with_a_bias_an_image(model: Any) -> None:
    gemm = nodes_of(model, "Gemm")[-1]
    column = np.zeros((SIZES[-1], 1), np.float32)  # as many images as classes, and the shape fits
    model.graph.initializer.append(numpy_helper.from_array(column, "column"))
    gemm.output[0] = "sums"
    model.graph.node.append(helper.make_node("Add", ["sums", "column"], ["logits"]))


def with_weights_of_a_negative_scale(model: Any) -> None:
    gemm = nodes_of(model, "Gemm")[0]
    node = next(one for one in nodes_of(model, "DequantizeLinear") if one.output[0] == gemm.input[1])
    scale = next(one for one in model.graph.initializer if one.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(scale), scale.name))


def with_a_circle(model: Any) -> None:
    model.graph.node[-1].output[0] = model.graph.node[-1].input[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_softmax, "a node Softmax"),
        (with_another_scale, "differently"),
        (with_a_negative_scale, "not positive"),
        (with_a_branch, "read by 2 nodes"),
        (with_a_scaled_product, "another way"),
        (with_weights_of_the_image, "read by 2 nodes|no constant"),
        (with_a_circle, "read by|circle|no constant"),
        (with_an_output_type, "QuantizeLinear with output_dtype"),
        (with_relu_of_integers, "its Relu reads integers"),
        (with_a_function_called_relu, "functions of its own"),
        (with_an_operator_of_somebody_s, "its Gemm is one of own"),
        (with_a_bias_an_image, "a bias that is no vector"),
        (with_weights_of_a_negative_scale, "a scale of weights is negative"),
    ],
)
def test_what_is_no_such_graph_is_refused(change: Callable[[Any], None], reason: str, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(quantised(tmp_path, "relu", "QDQ"))
    change(model)
    with pytest.raises(NotCovered, match=reason):
        steps_of(model.SerializeToString())


def scaled_by_itself(model: Any) -> None:
    scales = next(node for node in nodes_of(model, "Mul") if "scale" in node.input[0])
    scales.input[1] = scales.input[0]


def without_a_zero_point(model: Any) -> None:
    del nodes_of(model, "MatMulInteger")[0].input[2:]


@pytest.mark.parametrize(
    ("change", "reason"), [(scaled_by_itself, "no constant"), (without_a_zero_point, "not multiplied as")]
)
def test_what_no_quantiser_writes_by_range_is_refused(
    change: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    model = onnx.load_model_from_string(quantised(tmp_path, "relu", "by range"))
    change(model)
    with pytest.raises(NotCovered, match=reason):
        steps_of(model.SerializeToString())


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(NotCovered):
        steps_of(onnx.ModelProto().SerializeToString())
