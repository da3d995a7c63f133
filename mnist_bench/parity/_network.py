"""The reference of a run: the specified network by its weights, or any other by its graph."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray

from mnist_bench import importers, store
from mnist_bench.core.errors import BadInput
from mnist_bench.core.signature import Signature
from mnist_bench.core.types import Record
from mnist_bench.parity import _reference
from mnist_bench.parity._certificate import Bounds, certify
from mnist_bench.parity._fused import unfuse
from mnist_bench.parity._graph import Graph
from mnist_bench.parity._reference import Array, Weights

Reference = Weights | Graph


def reference_of(folder: Path, record: Record) -> Reference:
    """Return what a run's runtimes are compared with: the network that it has reached, in float64.

    Raises:
        BadInput: it has no weights yet.
        RecordDamaged: they are not those that were saved.
    """
    if record.imported and record.checkpoint and record.is_graph:
        return graph_of(store.content(folder, record.checkpoint.weights), record.imported.signature)
    return weights_of(folder, record)


def weights_of(folder: Path, record: Record) -> Weights:
    """Return the weights that a run of the specified network has reached; raises as `reference_of` does."""
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    return Weights.of(store.load_weights(folder, record.checkpoint.weights), record.config.activation)


def graph_of(content: bytes, signature: Signature) -> Graph:
    """Return the network of an ONNX file; one that ends in softmax, up to there: its logits decide the prediction.

    Raises:
        ModelRefused: it is none that can be evaluated, or its answers differ from one time to the next.
    """
    return Graph.of(_up_to_logits(content, signature), replace_field(signature, output=""))


def _up_to_logits(content: bytes, signature: Signature) -> bytes:
    """Return a graph, in evaluation mode, whose only output is what the signature's `ending` is applied to."""
    import onnx

    proto = onnx.load_model_from_string(content)
    unfuse(proto.graph)
    for node in proto.graph.node:
        if node.op_type == "Dropout":
            del node.input[2:]  # whether it is in training: that it answers otherwise then is what is to be found out
    (answer,) = [one for one in proto.graph.output if one.name == (signature.output or proto.graph.output[0].name)]
    del proto.graph.output[:]
    proto.graph.output.append(onnx.ValueInfoProto(name=importers.before_ending(proto.graph, answer.name)))
    return bytes(proto.SerializeToString())


def bounds_of(reference: Reference, images: NDArray[np.float32], pixel_errors: Array | None = None) -> Bounds:
    """Return a reference's answers to images, float32 (n, 1, 28, 28), and how far any float32 runtime can be off.

    Where pixels may be off themselves, by `pixel_errors` of the images' shape, nothing is proved of a graph.
    """
    if isinstance(reference, Weights):
        return certify(reference, images, pixel_errors)
    found = reference.certify(images)
    if pixel_errors is None:
        return found
    open_ends = {name: np.full_like(getattr(found, name), np.inf) for name in ("logit_bounds", "margin_bounds")}
    return replace(found, **open_ends, certified=np.zeros(len(images), np.bool_))


def logits_of(reference: Reference, images: NDArray[np.float32]) -> Array:
    """Return a reference's answers to images, float32 (n, 1, 28, 28): float64 (n, classes)."""
    if isinstance(reference, Weights):
        return _reference.logits(reference, images)
    return reference.logits(images)
