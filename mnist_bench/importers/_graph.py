"""An ONNX graph to look at: what makes each value, what is constant, and what a part of it computes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STANDARD = ("", "ai.onnx")
MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
"""Operators that move values and change none."""
KEEPS = ("Identity", "Cast", "Dropout")
MOST_BYTES = 2**28
"""Of a constant that is computed from others."""


@dataclass(frozen=True)
class View:
    """A graph's nodes by the values that they make, and its stored tensors by name."""

    graph: Any
    source: dict[str, Any]
    stored: dict[str, Any]

    @classmethod
    def of(cls, graph: Any) -> "View":
        """Look at a graph."""
        stored = {weight.name: weight for weight in graph.initializer}
        return cls(graph, {name: node for node in graph.node for name in node.output if name}, stored)

    def first_reader(self, name: str, passed: Sequence[str]) -> Any:
        """Return the first node that reads a value, behind those of some operators; None where there is none."""
        for _ in range(len(self.graph.node)):
            node = next((node for node in self.graph.node if name in node.input), None)
            if node is None or node.op_type not in passed:
                return node
            name = node.output[0]
        return None

    def constant(self, name: str, depth: int = 8) -> NDArray[Any] | None:
        """Return a value that is stored, or is made of a stored one by moving it; None of any other.

        Args:
            name: of the value.
            depth: how many nodes to follow at most.
        """
        from onnx import numpy_helper

        if name in self.stored:
            return numpy_helper.to_array(self.stored[name])
        node = self.source.get(name)
        if node is None or depth == 0:
            return None
        if node.op_type == "Constant":
            return _held(node)
        if node.op_type not in (*MOVES, *KEEPS) or node.domain not in STANDARD:
            return None
        values = self.constant(node.input[0], depth - 1)
        others = [self.constant(other, depth - 1) for other in node.input[1:] if other]
        if values is None or any(other is None for other in others) or values.nbytes > MOST_BYTES:
            return None
        return _moved(node, values, others)


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes by name."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _held(node: Any) -> NDArray[Any] | None:
    """Return what a node Constant holds."""
    from onnx import numpy_helper

    for name, value in attributes(node).items():
        if name == "value":
            return numpy_helper.to_array(value)
        if name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    return None


def _moved(node: Any, values: NDArray[Any], others: list[Any]) -> NDArray[Any] | None:
    """Move stored values as a node does; None where that is another operator's work, or goes wrong."""
    given = attributes(node)
    try:
        match node.op_type:
            case "Identity" | "Dropout":
                return values
            case "Transpose":
                return values.transpose(given.get("perm"))
            case "Reshape":
                return values.reshape([values.shape[at] if size == 0 else size for at, size in enumerate(others[0])])
            case "Cast":
                return _cast(values, given["to"])
            case _:
                return None
    except (ValueError, TypeError, LookupError):
        return None


def _cast(values: NDArray[Any], to: int) -> NDArray[Any]:
    from onnx import helper

    return values.astype(helper.tensor_dtype_to_np_dtype(to))


def all_nodes(proto: Any) -> Iterator[Any]:
    """Yield the nodes of a model, those within nodes and functions too."""
    yield from _nodes_of(proto.graph.node)
    for function in proto.functions:
        yield from _nodes_of(function.node)


def _nodes_of(nodes: Any) -> Iterator[Any]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop(0)
        yield node
        for attribute in node.attribute:
            waiting += attribute.g.node
            for graph in attribute.graphs:
                waiting += graph.node


def cut(proto: Any, output: str, value_type: Any = None) -> Any:
    """Return a copy of a model whose only output is one of its values, without the nodes that this does not need.

    Args:
        proto: the model.
        output: the value's name.
        value_type: its type, as a `ValueInfoProto`; without, the copy's output has none.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graph = copy.graph
    source = {name: node for node in graph.node for name in node.output if name}
    needed, waiting = set(), [output]
    while waiting:
        if (name := waiting.pop()) not in needed:
            needed.add(name)
            node = source.get(name)
            waiting += _read_by(node) if node is not None else []
    kept = [node for node in graph.node if needed.intersection(node.output)]
    weights = [weight for weight in graph.initializer if weight.name in needed]
    ours = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name in needed or value.name not in ours]
    for field, values in (("node", kept), ("initializer", weights), ("input", inputs)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(values)
    del graph.output[:]
    graph.output.append(value_type if value_type is not None else onnx.ValueInfoProto(name=output))
    return copy


def _read_by(node: Any) -> list[str]:
    """Return what a node reads, and what graphs within it may read of this one."""
    return [*node.input, *(name for inner in _nodes_of([node]) for name in inner.input)]
