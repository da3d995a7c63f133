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
    from collections.abc import Mapping

    import torch

    from mnist_bench.importers._signature import PixelType

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
    tensors = _tensors(loaded)
    found, answers = _programs.found_program(request, "torchscript", loaded, _signatures(tensors), tensors)
    found = _programs.with_graph(request, found, lambda: _exported(loaded, answers))
    return replace(found, notes=(*found.notes, IN_TRAINING)) if trains and _differs(loaded.train(), answers) else found


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


def _signatures(tensors: "Mapping[str, torch.Tensor]") -> tuple[Signature, ...]:
    """Return what it may take: pixels of float32, or else of the type of its weights."""
    import torch

    others: dict[torch.dtype, PixelType] = {torch.float16: "float16", torch.float64: "float64"}
    held = {others.get(one.dtype) for one in tensors.values() if one.ndim}
    types: list[PixelType] = ["float32", *(kind for kind in others.values() if kind in held)]
    return tuple(Signature(shape=shape, dtype=dtype) for dtype in types for shape in _programs.SHAPES)


def _differs(training: Any, answers: _programs.Answering) -> bool:
    """Tell whether a program in training mode answers otherwise than in evaluation mode."""
    import torch

    try:
        with torch.inference_mode():
            found = training(_programs.example(answers)).to(torch.float64).numpy()
    except Exception:  # noqa: BLE001 whatever a program raises that answers in evaluation mode
        return True
    return not np.allclose(found, answers.values)


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
