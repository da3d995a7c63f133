"""The ONNX project's own evaluator: NumPy, operator by operator, as the standard defines them."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import (
    Effective,
    Images,
    Layers,
    Logits,
    Model,
    Session,
    Spec,
    as_stored,
    in_float32,
    not_installed,
)
from mnist_bench.runtimes._onnx_graph import image_of, parsed, showing_layers

FORMAT, DEVICES = "onnx", ("cpu",)
PRECISIONS = as_stored("fp32")  # NumPy's products of float16 and of integers take minutes
COMPILED, LIBRARY = False, "onnx"


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("onnx-reference", "onnx", "pip install onnx")


def why_not_on(_device: str) -> Skipped | None:
    """Never: it runs on the CPU alone."""
    return None


def version() -> str:
    """Return onnx's version."""
    import onnx

    return str(onnx.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file."""
    from onnx.reference import ReferenceEvaluator
    from threadpoolctl import threadpool_limits

    proto, batch = parsed(model)
    evaluator = ReferenceEvaluator(proto)
    name, outputs = image_of(proto.graph).name, model.output and [model.output]

    def run(images: Images) -> Logits:
        logits: Logits = evaluator.run(outputs, {name: images})[0]  # type: ignore[index]
        return logits

    def layers(images: Images) -> Layers:
        showing, names = showing_layers(model)
        values = ReferenceEvaluator(showing).run(None, {name: images})
        return dict(zip(names, values, strict=True))

    with threadpool_limits(spec.threads):
        yield Session(in_float32(run, model), lambda: Effective("numpy", "fp32"), batch, layers)
