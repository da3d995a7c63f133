"""A `.pt2` archive of torch.export: a program, which is loaded for whoever vouches for it."""

import io
from typing import TYPE_CHECKING, Any

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import Signature
from mnist_bench.importers import _programs
from mnist_bench.importers._contract import Found, Given, Request, refuse_output
from mnist_bench.importers._signature import WHAT_IS_TAKEN, is_an_image

if TYPE_CHECKING:
    import torch

WHAT, PROGRAM = "an archive of torch.export", True
MODELS, COMPILED = "/models/", "/data/aotinductor/"
TYPES = ("float32", "float64", "float16", "uint8")


def recognises(given: Given) -> bool:
    """See `Importer`; what AOTInductor compiled is in an archive of the same kind."""
    held = [f"/{name}" for name in given.entries]
    return any(MODELS in name for name in held) and not any(COMPILED in name for name in held)


def read(request: Request) -> Found:
    """Load it, ask it, and write its graph as ONNX.

    Raises:
        ModelRefused: PyTorch cannot load it, or it takes or gives something else.
    """
    import torch

    refuse_output(request, "an archive of torch.export")
    try:
        program = torch.export.load(io.BytesIO(request.content))
    except Exception as error:
        raise ModelRefused(f"PyTorch cannot load it: {text.reason(str(error))}") from error
    signatures = (_signature(program),)
    tensors = _tensors(program)
    found, answers = _programs.found_program(request, "torch-export", program.module(), signatures, tensors)
    return _programs.with_graph(request, found, lambda: _exported(program, answers))


def _tensors(program: Any) -> "dict[str, torch.Tensor]":
    """Return a program's parameters and buffers, and the constants of its graph."""
    import torch

    constants = {name: one for name, one in program.constants.items() if isinstance(one, torch.Tensor) and one.ndim}
    return {**program.state_dict, **constants}


def _signature(program: Any) -> Signature:
    """Return what a program takes: that is told by the sizes of its only input."""
    names = set(program.graph_signature.user_inputs)
    inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    shown = ", ".join(f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape)}" for one in inputs)
    if len(inputs) != 1:
        raise ModelRefused(f"it takes {len(inputs)} inputs, {text.reason(shown)}: a model of one is needed, the image")
    first, *sizes = inputs[0].shape or [0]
    dtype: Any = str(inputs[0].dtype).removeprefix("torch.")
    shape = tuple(size for size in sizes if isinstance(size, int))
    if dtype not in TYPES or not is_an_image(shape) or len(shape) < len(sizes):
        raise ModelRefused(f"it takes {text.reason(shown)}: {WHAT_IS_TAKEN} are needed")
    pixels: Any = "bytes" if dtype == "uint8" else "unit"
    return Signature(shape=shape, dtype=dtype, pixels=pixels, batch=first if isinstance(first, int) else None)


def _exported(program: Any, answers: _programs.Answering) -> bytes:
    import torch

    made = torch.onnx.export(program, (_programs.example(answers),), dynamo=True, verbose=False)
    assert made
    content: bytes = made.model_proto.SerializeToString()
    return content
