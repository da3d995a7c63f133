"""A node of a graph, and its evaluation by ONNX's own reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import text
from mnist_bench.parity._graph_values import DOUBLE, HALF, SINGLE, Doubts, Value, doubts_of

ONNX = frozenset({"", "ai.onnx"})

NOT_COVERED = ": not covered by the certificate"

ELEMENTWISE = frozenset(
    {"Abs", "Cast", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Log"}
    | {"Mish", "Reciprocal", "Round", "Selu", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Relu"}
)
"""Operators of one operand that may be asked for all images at once."""

QUANTISERS, QUANTISERS_SINCE = frozenset({"QuantizeLinear", "DequantizeLinear"}), 19
"""ONNX's reference has them from this opset on; what they had before, they do as before."""


@dataclass(frozen=True)
class Step:
    """A node.

    `index` is its place in the graph; `opsets` are the versions of the operators' sets, by domain; `cache` holds what
    is worked out once.
    """

    index: int
    node: Any
    opsets: Mapping[str, int]
    cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def operator(self) -> str:
        """The operator's name; with its domain where that is not ONNX's own."""
        domain = self.node.domain
        return str(self.node.op_type) if domain in ONNX else f"{domain}.{self.node.op_type}"

    @property
    def label(self) -> str:
        """What people call it: its operator, and its name or that of what it computes."""
        return f"{self.operator} {text.reason(self.node.name or next(iter(self.node.output), ''))!r}"

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Its attributes, with text as text."""
        from onnx import helper

        found = {one.name: helper.get_attribute_value(one) for one in self.node.attribute}
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}

    def doubt(self, how: str = "") -> Doubts:
        """Return the doubt that this node casts on what comes after it."""
        return frozenset({(self.index, f"{self.label}{how}{NOT_COVERED}")})

    def evaluate(self, operands: Sequence[NDArray[Any] | None]) -> list[NDArray[Any]]:
        """Evaluate it by ONNX's reference for operands without an axis of images; left out ones are None."""
        feeds = {name: one for name, one in zip(self.node.input, operands, strict=True) if name and one is not None}
        kinds = tuple((name, one.dtype.str) for name, one in feeds.items())
        if kinds not in self.cache:
            self.cache[kinds] = self._evaluator(feeds)
        return [_tensor(found) for found in self.cache[kinds].run(None, feeds)]

    def _evaluator(self, feeds: Mapping[str, NDArray[Any]]) -> Any:
        import onnx
        from onnx.reference import ReferenceEvaluator

        def described(name: str, array: NDArray[Any]) -> Any:
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            return onnx.helper.make_tensor_value_info(name, kind, None)

        inputs = [described(name, array) for name, array in feeds.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.node.output if name]
        node = onnx.NodeProto()
        node.CopyFrom(self.node)
        node.domain = "" if node.domain in ONNX else node.domain
        graph = onnx.helper.make_graph([node], "node", inputs, outputs)
        opsets = dict(self.opsets)
        if self.operator in QUANTISERS:
            opsets[""] = max(opsets.get("", QUANTISERS_SINCE), QUANTISERS_SINCE)
        return ReferenceEvaluator(graph, opsets=opsets)


def _tensor(found: Any) -> NDArray[Any]:
    """Refuse sequences, maps and sparse tensors."""
    if not isinstance(found, np.ndarray):
        raise TypeError(f"a {type(found).__name__} is no tensor")
    return found


def as_value(array: NDArray[Any], **flags: Any) -> Value:
    """Return a value of (images, …), with floating-point numbers in float64, which holds them exactly."""
    if array.dtype.kind in "biu":
        return Value(array, **flags)
    bits = {2: HALF, 4: SINGLE, 8: DOUBLE}.get(array.dtype.itemsize, HALF)
    return Value(array.astype(np.float64), bits=bits, **flags)


def by_reference(step: Step, inputs: Sequence[Value | None]) -> list[Value]:
    """Evaluate a node of which there is no bound: image by image, unless it depends on none.

    Integers that depend on no image are the same everywhere; of all else nothing is known.
    """
    given = [value for value in inputs if value is not None]
    constant = all(value.constant for value in given)
    if constant:
        found = [array[None] for array in step.evaluate([_at(value, 0) for value in inputs])]
    elif step.operator in ELEMENTWISE and len(given) == 1:
        found = step.evaluate([given[0].values])
    else:
        images = max(len(value.values) for value in given)
        each = [step.evaluate([_at(value, image) for value in inputs]) for image in range(images)]
        found = [np.stack(arrays) for arrays in zip(*each, strict=True)]
    doubts = doubts_of(*inputs) | step.doubt()

    def known(array: NDArray[Any]) -> bool:
        return constant and array.dtype.kind in "biu" and not doubts_of(*inputs)

    return [as_value(array, constant=constant, doubts=frozenset() if known(array) else doubts) for array in found]


def _at(value: Value | None, image: int) -> NDArray[Any] | None:
    return None if value is None else np.asarray(value.values[0 if value.constant else image])
