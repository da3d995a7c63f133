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
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes import torchscript as runtime

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
    tensors = runtime.tensors(loaded)
    found, answers = _programs.found_program(request, "torchscript", loaded, _signatures(tensors), tensors)
    found = _programs.with_graph(request, found, lambda: _exported(loaded, answers))
    return replace(found, notes=(*found.notes, IN_TRAINING)) if trains and _differs(loaded.train(), answers) else found


def _signatures(tensors: "Mapping[str, torch.Tensor]") -> tuple[Signature, ...]:
    """Return what it may take: pixels of float32, or else of the type of its weights."""
    others: dict[str, PixelType] = {"fp16": "float16", "fp64": "float64"}
    own = others.get(_torch.precision_of(tensors.values(), "float32"))
    types: tuple[PixelType, ...] = ("float32", own) if own else ("float32",)
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
