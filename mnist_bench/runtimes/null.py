"""Does nothing: shows what it costs to ask."""

import contextlib
from collections.abc import Iterator

import numpy as np

from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored

FORMAT, DEVICES, PRECISIONS = None, ("cpu",), as_stored("fp32")
COMPILED, LIBRARY = False, "numpy"


def why_unavailable() -> Skipped | None:
    """Never."""
    return None


def why_not_on(_device: str) -> Skipped | None:
    """Never."""
    return None


def version() -> str:
    """Return NumPy's version."""
    return np.__version__


@contextlib.contextmanager
def open(_model: Model, _spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Give a session that answers zeros."""
    answers: dict[int, Logits] = {}

    def run(images: Images) -> Logits:
        size = len(images)
        if size not in answers:
            answers[size] = np.zeros((size, CLASSES), np.float32)
        return answers[size]

    yield Session(run, lambda: Effective("null", "fp32"))
