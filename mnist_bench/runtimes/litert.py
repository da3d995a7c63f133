"""LiteRT (TensorFlow Lite) with XNNPACK: the interpreter alone, which is small."""

import contextlib
from collections.abc import Iterator
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from mnist_bench.core.architecture import PIXELS
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored, extra

FORMAT, DEVICES, PRECISIONS = "litert", ("cpu",), as_stored("fp32", "int8-dynamic")
EXTRA = ("ai_edge_litert", "ai-edge-litert", (2, 3))
COMPILED, LIBRARY = False, "ai-edge-litert"


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return extra("litert", *EXTRA)


def why_not_on(_device: str) -> Skipped | None:
    """See `Runtime`."""
    return None


def version() -> str:
    """Return LiteRT's version."""
    return installed("ai-edge-litert")


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file, and resize its input with every new batch size."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model.content, num_threads=spec.threads)
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    size = 0

    def resize(images: int) -> None:
        nonlocal size
        size = images
        interpreter.resize_tensor_input(given["index"], [size, PIXELS])
        interpreter.allocate_tensors()

    def run(images: Images) -> Logits:
        if len(images) != size:
            resize(len(images))
        interpreter.set_tensor(given["index"], images.reshape(size, PIXELS))
        interpreter.invoke()
        logits: Logits = interpreter.get_tensor(answer["index"])
        return logits

    resize(1)  # now, and not at the first image, XNNPACK takes the layers over
    yield Session(run, lambda: _effective(interpreter))


def _effective(interpreter: Any) -> Effective:
    """Look at the tensors: in what weights are stored, and whether a delegate has taken the layers over."""
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details() if len(tensor["shape"]) > 1}
    names = {operator["op_name"] for operator in interpreter._get_ops_details()}
    provider = "XNNPACK" if "DELEGATE" in names else "LiteRT's own kernels"
    return Effective(provider, "int8-dynamic" if np.int8 in kinds else "fp32")
