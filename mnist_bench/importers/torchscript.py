"""TorchScript: a program, which is loaded for whoever vouches for it."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import Signature
from mnist_bench.importers import _programs
from mnist_bench.importers._contract import Found, Given, Request, refuse_output

if TYPE_CHECKING:
    import torch

WHAT, PROGRAM = "a TorchScript archive", True
CODE = "/code/"
IN_TRAINING = "it was saved in training mode, and answers so where it is loaded: save it after model.eval()"


def recognises(given: Given) -> bool:
    """See `Importer`."""
    return any(CODE in f"/{name}" for name in given.entries)


def read(request: Request) -> Found:
    """Load it, ask it, and write its graph as ONNX.

    Raises:
        ModelRefused: PyTorch cannot load it, or it takes or gives something else.
    """
    import torch

    refuse_output(request, "a TorchScript archive")
    try:
        loaded = torch.jit.load(io.BytesIO(request.content), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelRefused(f"PyTorch cannot load it: {text.reason(str(error))}") from error
    trains = getattr(loaded, "training", False)  # a frozen one has no modes
    loaded.eval()
    signatures = tuple(Signature(shape=shape) for shape in _programs.SHAPES)
    found, answers = _programs.found_program(request, "torchscript", loaded, signatures, _tensors(loaded))
    found = _programs.with_graph(request, found, lambda: _exported(loaded, answers))
    return replace(found, notes=(*found.notes, IN_TRAINING)) if trains and _differs(loaded.train(), answers) else found


def _differs(training: Any, answers: _programs.Answering) -> bool:
    """Tell whether a program in training mode answers otherwise than in evaluation mode."""
    import torch

    with torch.inference_mode():
        found = training(_programs.example(answers)).to(torch.float64).numpy()
    return not np.allclose(found, answers.values)


def _tensors(loaded: Any) -> "dict[str, torch.Tensor]":
    """Return a module's parameters and buffers; of a frozen one, the constants of its graph."""
    own: dict[str, torch.Tensor] = loaded.state_dict()
    if own:
        return own
    constants = [node for node in loaded.inlined_graph.nodes() if node.kind() == "prim::Constant"]
    values = [node.output().toIValue() for node in constants]
    return {f"constant {place}": one for place, one in enumerate(values) if _is_array(one)}


def _is_array(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.ndim > 0


def _exported(loaded: Any, answers: _programs.Answering) -> bytes:
    """Write it by the exporter that reads TorchScript: the newer one reads modules of Python alone."""
    import torch

    buffer = io.BytesIO()
    axes = {"image": {0: "n"}, "answer": {0: "n"}}
    torch.onnx.export(
        loaded,
        (_programs.example(answers),),
        buffer,  # type: ignore[arg-type]
        input_names=["image"],
        output_names=["answer"],
        dynamic_axes=axes,
        dynamo=False,
    )
    return buffer.getvalue()
