"""ONNX Runtime's own operators that are several of ONNX's in one, written as those."""

from collections.abc import Iterator
from typing import Any

DOMAIN = "com.microsoft"
PLAIN = {"FusedGemm": "Gemm", "FusedConv": "Conv"}
"""Each is the plain operator with an `activation` behind it (ONNX Runtime's docs/ContribOperators.md)."""
OF_ACTIVATION = ("activation", "activation_alpha", "activation_beta", "activation_gamma", "activation_params")
WITHOUT_SUM = 3
"""Inputs of a fused convolution: a fourth is added before the activation."""


def unfuse(graph: Any) -> None:
    """Replace what can be replaced, in place; what cannot stays, and is found not to be known."""
    nodes = [part for node in graph.node for part in _parts(node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _parts(node: Any) -> Iterator[Any]:
    from onnx import helper

    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    activation = attributes.get("activation", b"").decode()
    known = activation in ("Relu", "Sigmoid", "Tanh", "")
    if node.domain != DOMAIN or node.op_type not in PLAIN or not known or len(node.input) > WITHOUT_SUM:
        yield node
        return
    kept = {name: value for name, value in attributes.items() if name not in OF_ACTIVATION}
    sums = f"{node.output[0]}/sums" if activation else node.output[0]
    yield helper.make_node(PLAIN[node.op_type], node.input, [sums], name=node.name, **kept)
    if activation:
        yield helper.make_node(activation, [sums], node.output, name=f"{node.name}/{activation}")
