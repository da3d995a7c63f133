"""A quantised ONNX graph as a chain of steps: what the certificate for int8 reads."""

import math
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import MIDDLE_BYTE, Activation
from mnist_bench.parity._reference import Array


class NotCovered(Exception):
    """A graph that the certificate for int8 does not know; the message is the reason."""


@dataclass(frozen=True)
class Quantise:
    """Real numbers to integers and back, with a scale and a zero point of the file's: integers of [`low`, `high`]."""

    scale: float
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class QuantiseByRange:
    """Real numbers to unsigned bytes and back, with a scale from the smallest and largest of the tensor at hand.

    `signed`: as LiteRT does it, with a scale of each image's own, in a batch with others too, and to signed bytes,
    which are those less 128: two of their products with weights of up to 127 fit in 16 bits.
    """

    signed: bool = False


@dataclass(frozen=True)
class Product:
    """A dense layer: `weight` float64 (outputs, inputs), `bias` (outputs,), both exactly what the file says.

    Where the weights are quantised, `integers` (outputs, inputs) are the signed bytes that kernels multiply, and `unit`
    (outputs,) is what one of them stands for; `bias_unit` (outputs,) likewise where the bias is.
    """

    weight: Array
    bias: Array
    integers: NDArray[np.int64] | None = None
    unit: Array | None = None
    bias_unit: Array | None = None


@dataclass(frozen=True)
class Shift:
    """A bias that is added by a node of its own: float64 (outputs,)."""

    bias: Array


@dataclass(frozen=True)
class Activate:
    """The activation function."""

    function: Activation


Step = Quantise | QuantiseByRange | Product | Shift | Activate


def steps_of(content: bytes) -> tuple[Step, ...]:
    """Read the steps of an ONNX file.

    Raises:
        NotCovered: it holds something else than quantisation, dense layers and this network's activations.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(content)
        if model.functions:
            raise NotCovered("it has functions of its own")
        with np.errstate(all="ignore"):  # what is not finite is refused where it matters
            return tuple(_Reader(model.graph).steps())
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, onnx.checker.ValidationError) as error:
        raise NotCovered(f"its graph makes no sense here: {str(error) or type(error).__name__}") from error


class _Reader:
    """Follows a graph from its image to its logits; all else in it must be constant."""

    def __init__(self, graph: Any) -> None:
        from onnx import helper, numpy_helper

        self.constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self.source = {name: node for node in graph.node for name in node.output}
        self.attributes = {
            id(node): {one.name: helper.get_attribute_value(one) for one in node.attribute} for node in graph.node
        }
        self.graph = graph
        self.grid: Quantise | None = None
        self.integers = False
        for node in graph.node:
            self._check(node)

    def _check(self, node: Any) -> None:
        """Raise NotCovered where a node of a known name is none of those that are meant by it."""
        known = OPERATORS.get(node.op_type)
        if known is None:
            return
        if node.domain not in known.domains:
            raise NotCovered(f"its {node.op_type} is one of {node.domain}")
        if unknown := self.attributes[id(node)].keys() - known.attributes:
            raise NotCovered(f"it has a node {node.op_type} with {', '.join(sorted(unknown))}")

    def steps(self) -> Iterator[Step]:
        """Yield the steps, from first to last."""
        inputs = [value.name for value in self.graph.input if value.name not in self.constants]
        at, seen = inputs[0], 0
        while at != self.graph.output[0].name:
            node = self._reader_of(at)
            seen += 1
            if seen > len(self.graph.node):
                raise NotCovered("it runs in a circle")
            operator = OPERATORS.get(node.op_type)
            if operator is None or operator.read is None:
                raise NotCovered(f"it has a node {node.op_type}")
            if operator.of_integers not in (self.integers, None):
                raise NotCovered(f"its {node.op_type} reads {'integers' if self.integers else 'real numbers'}")
            found, at = operator.read(self, node, at)
            last = found[-1] if found else None
            self.grid = last if isinstance(last, Quantise) else self.grid
            if operator.of_integers is not None:
                self.integers = isinstance(last, Quantise)
            yield from found
        if self.integers:
            raise NotCovered("its answers are integers")

    def _reader_of(self, name: str) -> Any:
        """Return the one node that computes with a value; a scale that is used beside it does not count."""
        readers = [node for node in self.graph.node if name in node.input]
        if len(readers) != 1:
            raise NotCovered(f"{name} is read by {len(readers)} nodes")
        return readers[0]

    def constant(self, name: str) -> NDArray[Any]:
        """Return a value that does not depend on the image."""
        if name in self.constants:
            return self.constants[name]
        node = self.source.get(name)
        if node is not None and node.op_type == "Constant":
            from onnx import numpy_helper

            return np.asarray(numpy_helper.to_array(self.attributes[id(node)]["value"]))
        raise NotCovered(f"{name} is no constant")

    def optional(self, node: Any, index: int, otherwise: Any) -> NDArray[Any]:
        """Return a constant operand, or what stands for it where it is left out."""
        given = len(node.input) > index and node.input[index]
        return self.constant(node.input[index]) if given else np.asarray(otherwise)

    def check_grid(self, scale: str, zero: str) -> None:
        """Raise NotCovered where an operator reads integers in another way than the one before wrote them."""
        if self.grid is None or _grid(self.constant(scale), self.constant(zero)) != self.grid:
            raise NotCovered("integers are read with another scale or zero point than they were written with")

    def weight(self, name: str) -> "_Weight":
        """Return a matrix or a vector, exactly, and what it is made of where it is quantised."""
        node = self.source.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return _Weight(self.constant(name).astype(np.float64))
        integers = self.constant(node.input[0])
        axis = self.attributes[id(node)].get("axis", 1)
        return _dequantised(integers, self.constant(node.input[1]), self.optional(node, 2, 0), axis)


Found = tuple[tuple[Step, ...], str]


@dataclass(frozen=True)
class _Weight:
    """Constant values, and where they are quantised, their integers as signed ones and the scale."""

    values: Array
    integers: NDArray[np.int64] | None = None
    unit: Array | None = None

    def product(self, *, transposed: bool) -> Product:
        """Make a layer of a matrix (outputs, inputs) where that is transposed, else (inputs, outputs)."""
        if self.values.ndim != 2:  # noqa: PLR2004 a matrix
            raise NotCovered("a product with weights that are no matrix")
        values = self.values if transposed else self.values.T
        integers = self.integers if transposed or self.integers is None else self.integers.T
        unit = None if self.unit is None else np.broadcast_to(self.unit.reshape(-1), len(values))
        return Product(np.ascontiguousarray(values), np.zeros(len(values)), integers, unit)

    def row(self) -> Array:
        """Return a bias: a number a unit, or one for all; raise NotCovered where images have different ones."""
        if math.prod(self.values.shape[:-1]) != 1:
            raise NotCovered("a bias that is no vector")
        return self.values.reshape(-1)


def _dequantised(integers: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any], axis: int) -> _Weight:
    """Return scale · (integers - zero): float64 holds it exactly for bytes."""
    unit = scale.astype(np.float64)
    if not (unit >= 0).all():
        raise NotCovered("a scale of weights is negative, or no number")
    if scale.size > 1 and integers.ndim > 1:
        shape = [-1 if place == axis % integers.ndim else 1 for place in range(integers.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    values = scale.astype(np.float64) * (integers.astype(np.float64) - zero.astype(np.float64))
    signed = integers.astype(np.int64) - (MIDDLE_BYTE if integers.dtype == np.uint8 else 0)
    return _Weight(values, signed, unit)


def _same(_reader: _Reader, node: Any, _at: str) -> Found:
    """Nothing changes: what shapes the image, or a type."""
    return (), node.output[0]


def _quantise(reader: _Reader, node: Any, _at: str) -> Found:
    return (_grid_of(reader, node),), node.output[0]


def _dequantise(reader: _Reader, node: Any, at: str) -> Found:
    if _grid_of(reader, node) != reader.grid:
        raise NotCovered(f"{at} is quantised and dequantised differently")
    return (), node.output[0]


def _grid_of(reader: _Reader, node: Any) -> Quantise:
    """Return the grid of QuantizeLinear or DequantizeLinear."""
    return _grid(reader.constant(node.input[1]), reader.optional(node, 2, np.uint8(0)))


def _grid(scale: NDArray[Any], zero: NDArray[Any]) -> Quantise:
    if scale.size != 1 or zero.size != 1:
        raise NotCovered("activations are quantised channel by channel")
    if zero.dtype not in (np.int8, np.uint8):
        raise NotCovered(f"activations are {zero.dtype}")
    if not scale.item() > 0:
        raise NotCovered("a scale is not positive")
    limits = np.iinfo(zero.dtype)
    return Quantise(float(scale.item()), int(zero.item()), int(limits.min), int(limits.max))


def _gemm(reader: _Reader, node: Any, at: str) -> Found:
    """Gemm or MatMul, of an activation by constant weights."""
    attributes = reader.attributes[id(node)]
    if node.input[0] != at or attributes.get("transA") or attributes.get("alpha", 1.0) != 1.0:
        raise NotCovered(f"{node.op_type} is used in another way than for a dense layer")
    product = reader.weight(node.input[1]).product(transposed=bool(attributes.get("transB")))
    if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004 the optional bias
        if attributes.get("beta", 1.0) != 1.0:
            raise NotCovered("a bias is scaled")
        product = _with_bias(product, reader.weight(node.input[2]))
    return (product,), node.output[0]


def _with_bias(product: Product, bias: _Weight) -> Product:
    units = len(product.weight)
    of_bias = None if bias.unit is None else np.broadcast_to(bias.unit.reshape(-1), units)
    return replace(product, bias=np.broadcast_to(bias.row(), units), bias_unit=of_bias)


def _add(reader: _Reader, node: Any, at: str) -> Found:
    other = next((name for name in node.input if name != at), "")
    return (Shift(reader.weight(other).row()),), node.output[0]


def _qgemm(reader: _Reader, node: Any, _at: str) -> Found:
    """QGemm of ONNX Runtime (com.microsoft): its bias has the scale of the product."""
    reader.check_grid(node.input[1], node.input[2])
    attributes = reader.attributes[id(node)]
    if attributes.get("transA") or attributes.get("alpha", 1.0) != 1.0:
        raise NotCovered("QGemm is used in another way than for a dense layer")
    scale = reader.constant(node.input[1]).astype(np.float64) * reader.constant(node.input[4]).astype(np.float64)
    bias = np.asarray(reader.optional(node, 6, 0), np.float64) * scale
    product = _integer_product(reader, node, transposed=bool(attributes.get("transB")))
    product = _with_bias(product, _Weight(bias, unit=scale))
    if len(node.input) > 7 and node.input[7]:  # noqa: PLR2004 the scale of what comes out
        return (product, _grid(reader.constant(node.input[7]), reader.constant(node.input[8]))), node.output[0]
    return (product,), node.output[0]


def _integer_product(reader: _Reader, node: Any, *, transposed: bool) -> Product:
    """Read quantised weights that an operator holds as integers, scale and zero point: its operands 3 to 5."""
    integers, scale, zero = (reader.constant(name) for name in node.input[3:6])
    return _dequantised(integers, scale, zero, 0 if transposed else 1).product(transposed=transposed)


def _qlinear_matmul(reader: _Reader, node: Any, _at: str) -> Found:
    reader.check_grid(node.input[1], node.input[2])
    product = _integer_product(reader, node, transposed=False)
    return (product, _grid(reader.constant(node.input[6]), reader.constant(node.input[7]))), node.output[0]


def _qlinear_add(reader: _Reader, node: Any, at: str) -> Found:
    """QLinearAdd of ONNX Runtime: of an activation and a constant."""
    first = node.input[0] == at
    reader.check_grid(*(node.input[1:3] if first else node.input[4:6]))
    names = node.input[3:6] if first else node.input[0:3]
    integers, scale, zero = (reader.constant(name) for name in names)
    bias = _dequantised(integers, scale, zero, 0).row()
    grid = _grid(reader.constant(node.input[6]), reader.optional(node, 7, np.uint8(0)))
    return (Shift(bias), grid), node.output[0]


def _qlinear_sigmoid(reader: _Reader, node: Any, _at: str) -> Found:
    reader.check_grid(node.input[1], node.input[2])
    grid = _grid(reader.constant(node.input[3]), reader.optional(node, 4, np.uint8(0)))
    return (Activate("sigmoid"), grid), node.output[0]


def _by_range(reader: _Reader, node: Any, _at: str) -> Found:
    """DynamicQuantizeLinear, MatMulInteger, Cast and the Mul by both scales, as ONNX Runtime writes them."""
    quantised, scale, zero = node.output
    product = next(
        (one for one in reader.graph.node if one.op_type == "MatMulInteger" and one.input[0] == quantised), None
    )
    scales = next((one for one in reader.graph.node if one.op_type == "Mul" and scale in one.input), None)
    if product is None or scales is None or list(product.input[2:3]) != [zero]:
        raise NotCovered("what is quantised by its range is not multiplied as ONNX Runtime's quantiser writes it")
    of_weight = reader.constant(next((name for name in scales.input if name != scale), scale))
    weight = _dequantised(reader.constant(product.input[1]), of_weight, reader.optional(product, 3, 0), 1)
    cast = reader._reader_of(product.output[0])
    back = reader._reader_of(cast.output[0])
    if cast.op_type != "Cast" or back.op_type != "Mul" or scales.output[0] not in back.input:
        raise NotCovered("integer sums are scaled in another way than ONNX Runtime's quantiser writes it")
    return (QuantiseByRange(), weight.product(transposed=False)), back.output[0]


def _activate(function: Activation) -> Callable[[_Reader, Any, str], Found]:
    return lambda _reader, node, _at: ((Activate(function),), node.output[0])


ONNX, MICROSOFT = frozenset({"", "ai.onnx"}), frozenset({"com.microsoft"})


@dataclass(frozen=True)
class Operator:
    """What is known of an operator of some name.

    `read` makes steps of a node that the image's values go through; None where it only stands beside them. Other
    `domains` mean something else by the name. `attributes` are those that are read, or make no difference here.
    `of_integers`: whether it takes bytes or real numbers; None where either, and hands on what it takes.
    """

    read: Callable[[_Reader, Any, str], Found] | None
    attributes: Set[str] = frozenset()
    of_integers: bool | None = False
    domains: Set[str] = ONNX


OPERATORS = {
    "Flatten": Operator(_same, {"axis"}, of_integers=None),
    "Reshape": Operator(_same, {"allowzero"}, of_integers=None),
    "Identity": Operator(_same, of_integers=None),
    "QuantizeLinear": Operator(_quantise, {"axis", "saturate"}),
    "DequantizeLinear": Operator(_dequantise, {"axis"}, of_integers=True),
    "Gemm": Operator(_gemm, {"alpha", "beta", "transA", "transB"}),
    "MatMul": Operator(_gemm),
    "Add": Operator(_add),
    "Relu": Operator(_activate("relu")),
    "Sigmoid": Operator(_activate("sigmoid")),
    "QGemm": Operator(_qgemm, {"alpha", "transA", "transB"}, of_integers=True, domains=MICROSOFT),
    "QLinearMatMul": Operator(_qlinear_matmul, of_integers=True),
    "QLinearAdd": Operator(_qlinear_add, of_integers=True, domains=MICROSOFT),
    "QLinearSigmoid": Operator(_qlinear_sigmoid, of_integers=True, domains=MICROSOFT),
    "DynamicQuantizeLinear": Operator(_by_range),
    "MatMulInteger": Operator(None),
    "Cast": Operator(None, {"to", "saturate"}),
    "Mul": Operator(None),
}
