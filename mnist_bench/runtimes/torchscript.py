"""TorchScript's interpreter; loading a file runs what is in it."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mnist_bench.core.errors import Unsupported
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import (
    ACTIVATED,
    DENSE,
    Model,
    Session,
    Spec,
    as_stored,
    layer_names,
    not_installed,
)

if TYPE_CHECKING:
    import torch

FORMAT, DEVICES, PRECISIONS = "torchscript", ("cpu", "cuda"), as_stored("fp32", "fp16")
COMPILED, LIBRARY = False, "torch"
version = _torch.version
LAYER_KINDS = {
    "aten::linear": DENSE,
    **dict.fromkeys(("aten::relu", "aten::relu_", "aten::sigmoid", "aten::sigmoid_"), ACTIVATED),
    **dict.fromkeys(("aten::flatten", "aten::reshape", "aten::view", "aten::dropout"), ""),
}
"""What the operations of a network are; the last ones change no value of a network that is evaluated."""


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("torchscript", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torchscript", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file."""
    import torch

    with _torch.configured(spec), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        loaded = torch.jit.load(io.BytesIO(model.content), map_location=spec.device)  # type: ignore[no-untyped-call]
        yield _torch.session(loaded, spec.device, model, lambda images: _shown(loaded, images), watched=True)


def _shown(loaded: Any, images: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Run the network's graph with the values of its layers as outputs; raise Unsupported where it is no chain.

    A frozen module has lost its own modules, whose outputs could be noted: only operations are left of them. So a
    copy of the graph gets more outputs, and becomes a function, which torch offers in its private module alone.
    """
    import torch

    graph = torch.jit.freeze(loaded.eval()).inlined_graph
    values = list(_layer_values(graph))
    names = layer_names([kind for _, kind in values])
    for value, _ in values[:-1]:
        graph.registerOutput(value)
    graph.makeMultiOutputIntoTuple()
    graph.eraseInput(0)  # the module: nothing of it is used, or the graph would be no chain
    shown: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
    shown = torch._C._create_function_from_graph("shown", graph)
    logits, *others = shown(images)
    return dict(zip(names, (*others, logits), strict=True))


def _layer_values(graph: Any) -> Iterator[tuple[Any, str]]:
    """Yield the values of a graph's layers, with their kinds, where each operation takes what the one before gave."""
    _, at = graph.inputs()
    for node in graph.nodes():
        if node.kind() == "prim::Constant":
            continue
        kind = LAYER_KINDS.get(node.kind())
        if kind is None or next(node.inputs()).debugName() != at.debugName():
            raise Unsupported(f"its layers cannot be told apart: it has an operation {node.kind()}")
        at = node.output()
        if kind:
            yield at, kind
    (last,) = graph.outputs()
    if last.debugName() != at.debugName():
        raise Unsupported("its layers cannot be told apart: its last operation does not give the logits")
