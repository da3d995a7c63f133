"""From a file to a session that answers: host float32 (n, 1, 28, 28) in [0, 1] in, host float32 logits (n, 10) out.

A runtime is a module with the `FORMAT` that it reads (`weights` for the checkpoint itself, None for nothing at all),
the `DEVICES` and `PRECISIONS` that it can use, `why_unavailable(device)` (a `Skipped`, or None), `version()`, and
`open(model, spec)`, a context manager that gives a `Session`. `COMPILED = True` says that a file runs only on the
device that it was exported for. Heavy imports stay inside the functions.
"""

from typing import Any

from mnist_bench.core import plugins
from mnist_bench.runtimes._onnx_graph import saturation
from mnist_bench.runtimes._session import Effective, Model, Session, Spec

__all__ = ["Effective", "Model", "Session", "Spec", "load", "names", "saturation"]


def names() -> tuple[str, ...]:
    """Return the names of all runtimes."""
    import mnist_bench.runtimes as folder

    return plugins.names(folder)


def load(name: str) -> Any:
    """Return a runtime's module.

    Raises:
        BadInput: there is no such runtime.
    """
    import mnist_bench.runtimes as folder

    return plugins.load(folder, name)
