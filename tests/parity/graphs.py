"""ONNX graphs made for tests, and convolutional networks evaluated in float32 in as many ways as a runtime might."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.parity.float32 import F32, Dot

Operand = NDArray[Any] | str | None


@dataclass(frozen=True)
class Op:
    """A node of a chain: its operands are arrays, names of earlier values, or left out."""

    kind: str
    operands: tuple[Operand, ...]
    attributes: dict[str, Any]
    alone: bool = False


def op(kind: str, *operands: Operand, **attributes: Any) -> Op:
    """Make a node; its first operand is the value before, unless it names any."""
    return Op(kind, operands, attributes)


def alone(kind: str, *operands: Operand, **attributes: Any) -> Op:
    """Make a node that depends on no value before."""
    return Op(kind, operands, attributes, alone=True)


def chain(
    *ops: Op, shape: Sequence[int] = (1, 28, 28), opset: int = 20, batch: int | str = "n", kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """Make a model of nodes one behind the other; their values are `image`, `v0`, `v1` … `logits`."""
    nodes, initializers, before = [], [], "image"
    for index, one in enumerate(ops):
        named = one.alone or any(isinstance(each, str) for each in one.operands)
        operands = one.operands if named else (before, *one.operands)
        names = []
        for place, operand in enumerate(operands):
            if isinstance(operand, np.ndarray):
                initializers.append(numpy_helper.from_array(operand, f"c{index}_{place}"))
                names.append(f"c{index}_{place}")
            else:
                names.append(operand or "")
        before = "logits" if index == len(ops) - 1 else f"v{index}"
        domain = one.attributes.get("domain", "")
        nodes.append(
            helper.make_node(one.kind, names, [before], name=f"n{index}", **one.attributes | {"domain": domain})
        )
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", kind, [batch, *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same model with all of its floats in double."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    for initializer in twin.graph.initializer:
        array = numpy_helper.to_array(initializer)
        if array.dtype == np.float32:
            initializer.CopyFrom(numpy_helper.from_array(array.astype(np.float64), initializer.name))
    for value in (*twin.graph.input, *twin.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return twin


def session(content: bytes, *, optimised: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def answers(content: bytes, images: NDArray[Any], *, optimised: bool, batch: int = 1) -> NDArray[np.float32]:
    """Ask ONNX Runtime for images as the model takes them; (n, classes)."""
    opened = session(content, optimised=optimised)
    parts = [opened.run(None, {"image": images[i : i + batch]})[0] for i in range(0, len(images), batch)]
    return np.concatenate([np.asarray(part).reshape(batch, -1) for part in parts])


def by_onnx(model: onnx.ModelProto, images: NDArray[Any]) -> NDArray[Any]:
    """Ask ONNX's reference for images as the model takes them, one by one; (n, classes)."""
    evaluator = ReferenceEvaluator(model)
    return np.stack([cast("list[Any]", evaluator.run(None, {"image": image[None]}))[0].ravel() for image in images])


class DrawnChain:
    """Random operators one behind the other, a dense layer last: what runtimes fold into each other in many ways."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.scale = float(self.random.choice([0.1, 1.0, 10.0]))
        self.channels, self.size, self.ops = 1, 28, list[Op]()
        for _ in range(self.random.integers(2, 10)):
            shaping = self.size >= 5 and self.random.random() < 0.4
            kinds = (self.convolution, self.largest, self.mean) if shaping else (self.alone, self.with_constant)
            self.ops.append(kinds[self.random.integers(len(kinds))]())
        self.ops.append(op("Flatten"))
        weight, bias = self.draw(self.channels * self.size**2, 10), self.draw(10)
        as_one = self.random.random() < 0.5
        self.ops += [op("Gemm", weight, bias)] if as_one else [op("MatMul", weight), op("Add", bias)]

    def draw(self, *shape: int) -> F32:
        """Draw weights; a tenth of them zero, a tenth a thousand times smaller, as trained weights vary."""
        kept = self.random.choice([0.0, 1e-3, 1.0], shape, p=[0.1, 0.1, 0.8])
        return np.asarray(self.random.normal(0, self.scale, shape) * kept, np.float32)

    def convolution(self) -> Op:
        outputs, width, stride, pad = (int(self.random.integers(*ends)) for ends in ((1, 5), (1, 6), (1, 3), (0, 2)))
        operands = [self.draw(outputs, self.channels, width, width), self.draw(outputs)][: self.random.integers(1, 3)]
        self.channels, self.size = outputs, (self.size + 2 * pad - width) // stride + 1
        return op("Conv", *operands, pads=[pad] * 4, strides=[stride] * 2)

    def largest(self) -> Op:
        self.size //= 2
        return op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])

    def mean(self) -> Op:
        return op("AveragePool", kernel_shape=[3, 3], pads=[1] * 4)

    def alone(self) -> Op:
        """An activation, or what was before added to what was before that: a residual connection."""
        kinds = [op("Relu"), op("LeakyRelu", alpha=0.25), op("Tanh"), op("Sigmoid")]
        kinds.append(op("Clip", np.zeros((), np.float32), np.full((), 6, np.float32)))
        if len(self.ops) > 1 and self.ops[-1].kind not in {"Conv", "MaxPool", "AveragePool"}:
            kinds += [op("Add", f"v{len(self.ops) - 1}", f"v{len(self.ops) - 2}")] * 3
        return kinds[self.random.integers(len(kinds))]

    def with_constant(self) -> Op:
        constant = self.draw(self.channels, 1, 1)
        parameters = [self.draw(self.channels) for _ in range(3)]
        variance = np.abs(self.draw(self.channels)) + np.float32(0.01)
        kinds = [op(kind, constant) for kind in ("Add", "Sub", "Mul")]
        kinds += [op("Div", np.abs(constant) + np.float32(0.1)), op("BatchNormalization", *parameters, variance)]
        return kinds[self.random.integers(len(kinds))]


@dataclass(frozen=True)
class Way:
    """An order of summation; whether what is added comes first; whether normalisations are in the weights."""

    dot: Dot
    first: bool
    folded: bool


@dataclass(frozen=True)
class Network:
    """Weights of a small network of some kind; see `model` and `evaluate`."""

    kind: str
    weights: dict[str, F32]

    @classmethod
    def drawn(cls, kind: str, seed: int, scale: float) -> "Network":
        """Draw float32 weights; a tenth of them zero, a tenth a thousand times smaller, as trained weights vary."""
        random = np.random.default_rng(seed)
        shapes: dict[str, dict[str, tuple[int, ...]]] = {
            "pooled": {
                "w1": (3, 1, 5, 5),
                "b1": (3, 1, 1),
                "w2": (4, 3, 5, 5),
                "b2": (4, 1, 1),
                "w3": (64, 10),
                "b3": (10,),
            },
            "normalised": {"w1": (3, 1, 3, 3), "w2": (5, 3, 3, 3), "w3": (5, 10), "b3": (10,)},
            "residual": {"w1": (3, 1, 3, 3), "b1": (3,), "w2": (3, 3, 3, 3), "b2": (3,), "w3": (48, 10), "b3": (10,)},
        }

        def draw(*shape: int) -> F32:
            values = random.normal(0, scale, shape)
            kept = random.choice([0.0, 1e-3, 1.0], shape, p=[0.1, 0.1, 0.8])
            return np.asarray(values * kept, np.float32)

        weights = {name: draw(*shape) for name, shape in shapes[kind].items()}
        for layer, channels in (("1", 3), ("2", 5)) if kind == "normalised" else ():
            for name in ("scale", "offset", "mean"):
                weights[name + layer] = draw(channels)
            weights["variance" + layer] = random.uniform(1e-4, 3, channels).astype(np.float32)
        return cls(kind, weights)

    def model(self) -> onnx.ModelProto:
        """Return it as an ONNX graph, as exporters write it."""
        w = self.weights
        if self.kind == "pooled":
            return chain(
                op("Conv", w["w1"], auto_pad="SAME_UPPER"),
                op("Add", w["b1"]),
                op("Relu"),
                op("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
                op("Conv", w["w2"], auto_pad="SAME_UPPER"),
                op("Add", w["b2"]),
                op("Relu"),
                op("MaxPool", kernel_shape=[3, 3], strides=[3, 3]),
                op("Reshape", np.array([-1, 64])),
                op("MatMul", w["w3"]),
                op("Add", w["b3"]),
            )
        if self.kind == "normalised":
            norms = [[w[name + layer] for name in ("scale", "offset", "mean", "variance")] for layer in "12"]
            return chain(
                op("Conv", w["w1"], pads=[1, 1, 1, 1], strides=[2, 2]),
                op("BatchNormalization", *norms[0]),
                op("Relu"),
                op("Conv", w["w2"], strides=[2, 2]),
                op("BatchNormalization", *norms[1]),
                op("Relu"),
                op("GlobalAveragePool"),
                op("Flatten"),
                op("Gemm", w["w3"], w["b3"]),
            )
        return chain(
            op("Conv", w["w1"], w["b1"], pads=[1, 1, 1, 1], strides=[2, 2]),
            op("Relu"),
            op("Conv", w["w2"], w["b2"], pads=[1, 1, 1, 1]),
            op("Add", "v2", "v1"),
            op("Relu"),
            op("AveragePool", kernel_shape=[3, 3], strides=[3, 3]),
            op("Flatten"),
            op("Gemm", w["w3"], w["b3"]),
        )

    def evaluate(self, images: F32, way: Way) -> F32:
        """Evaluate every operation in float32, (n, 10)."""
        w = self.weights
        if self.kind == "pooled":
            values = relu(convolve(padded(images, 2), w["w1"], w["b1"].ravel(), way))
            values = largest(values, 2)
            values = largest(relu(convolve(padded(values, 2), w["w2"], w["b2"].ravel(), way)), 3)
            return dense(values.reshape(len(images), -1), w["w3"], w["b3"], way)
        if self.kind == "normalised":
            values = relu(self.normalised(padded(images, 1), "1", way))
            values = relu(self.normalised(values, "2", way)).reshape(len(images), 5, -1)
            ones = np.ones_like(values[:1])
            count = np.float32(values.shape[-1])
            means = way.dot(values, ones) / count if way.first else way.dot(values, ones) * (np.float32(1) / count)
            return dense(means, w["w3"], w["b3"], way)
        values = relu(convolve(padded(images, 1), w["w1"], w["b1"], way, stride=2))
        values = relu(convolve(padded(values, 1), w["w2"], w["b2"], way, added=values))
        patches = windows(values, 3, 3).transpose(0, 1, 2, 3, 4, 5).reshape(*values.shape[:2], 16, 9)
        return dense(
            (way.dot(patches, np.ones((1, 9), np.float32)) / np.float32(9)).reshape(len(images), -1),
            w["w3"],
            w["b3"],
            way,
        )

    def normalised(self, values: F32, layer: str, way: Way) -> F32:
        """Convolve and normalise: with the normalisation in the weights, or behind them."""
        scale, offset, mean, variance = (self.weights[name + layer] for name in ("scale", "offset", "mean", "variance"))
        factor = scale / np.sqrt(variance + np.float32(1e-5))
        weight = self.weights["w" + layer]
        if way.folded:
            return convolve(values, weight * factor[:, None, None, None], offset - mean * factor, way, stride=2)
        found = convolve(values, weight, None, way, stride=2)
        factor, mean, offset = (one[:, None, None] for one in (factor, mean, offset))
        return (found - mean) * factor + offset if way.first else found * factor + (offset - mean * factor)


def relu(values: F32) -> F32:
    return np.maximum(values, np.float32(0))


def padded(values: F32, beside: int) -> F32:
    return np.pad(values, [(0, 0), (0, 0), (beside, beside), (beside, beside)])


def windows(values: F32, size: int, stride: int) -> F32:
    """(n, channels, rows, columns, size, size)."""
    found = np.lib.stride_tricks.sliding_window_view(values, (size, size), (2, 3))
    return found[:, :, ::stride, ::stride]


def largest(values: F32, size: int) -> F32:
    return np.asarray(windows(values, size, size).max((-1, -2)), np.float32)


def sums(values: F32, weight: F32, bias: F32 | None, way: Way, added: F32 | None = None) -> F32:
    """Sums of products (…, outputs) of (…, inputs) and (outputs, inputs); what is added comes first, or last."""
    values = values[..., None, :]
    if not way.first:
        found = way.dot(values, weight)
        found = found if bias is None else found + bias
        return found if added is None else found + added
    ones = np.ones((*values.shape[:-1], 1), np.float32)
    if added is not None:
        first, ones_of = added[..., None], np.ones((*weight.shape[:-1], 1), np.float32)
        weight = np.concatenate([ones_of, weight], axis=-1)
        values = np.broadcast_to(values, (*added.shape, values.shape[-1]))
        values, ones = np.concatenate([first, values], axis=-1), np.broadcast_to(ones, (*added.shape, 1))
    if bias is not None:
        weight = np.concatenate([bias[:, None], weight], axis=-1)
        values = np.concatenate([ones, values], axis=-1)
    return way.dot(values, weight)


def convolve(values: F32, weight: F32, bias: F32 | None, way: Way, stride: int = 1, added: F32 | None = None) -> F32:
    found = windows(values, weight.shape[-1], stride).transpose(0, 2, 3, 1, 4, 5)
    patches = found.reshape(*found.shape[:3], -1)
    beside = None if added is None else added.transpose(0, 2, 3, 1)
    return sums(patches, weight.reshape(len(weight), -1), bias, way, beside).transpose(0, 3, 1, 2)


def winograd(values: F32, weight: F32) -> F32:
    """Convolve by Winograd's F(2 × 2, 3 × 3) (Lavin and Gray, CVPR 2016), for an even number of rows and columns."""
    of_values = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
    of_weight = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
    back = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)
    products = np.einsum(
        "ncijab,kcab->nkijab",
        of_values @ windows(values, 4, 2) @ of_values.T,
        of_weight @ weight @ of_weight.T,
    )
    found = (back @ products @ back.T).swapaxes(3, 4)
    return np.asarray(found.reshape(len(values), len(weight), values.shape[2] - 2, -1), np.float32)


def dense(values: F32, weight: F32, bias: F32, way: Way) -> F32:
    return sums(values, np.ascontiguousarray(weight.T), bias, way)
