"""The ONNX project's own evaluator: NumPy, operator by operator, as the standard defines them."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec

from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.runtimes._session import Effective, Images, Logits, Model, Session, Spec

FORMAT, DEVICES = "onnx", ("cpu",)
PRECISIONS: tuple[Precision, ...] = ("fp32",)  # NumPy's products of float16 and of integers take minutes


def why_unavailable(_device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used, or None."""
    return None if find_spec("onnx") else Skipped("onnx-reference", "onnx is not installed", "pip install onnx")


def version() -> str:
    """Return onnx's version."""
    import onnx

    return str(onnx.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    from threadpoolctl import threadpool_limits

    evaluator = ReferenceEvaluator(onnx.load(model.path, load_external_data=False))
    name = evaluator.input_names[0]

    def run(images: Images) -> Logits:
        logits: Logits = evaluator.run(None, {name: images})[0]  # type: ignore[index]
        return logits

    with threadpool_limits(spec.threads):
        yield Session(run, lambda: Effective("numpy", "fp32"))
