"""Does nothing: shows what it costs to ask."""

import contextlib
from collections.abc import Iterator

import numpy as np

from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.runtimes._session import Effective, Images, Logits, Model, Session, Spec

FORMAT, DEVICES, CLASSES = None, ("cpu",), 10
PRECISIONS: tuple[Precision, ...] = ("fp32",)


def why_unavailable(_device: str = "cpu") -> Skipped | None:
    """Never."""
    return None


def version() -> str:
    """Return NumPy's version."""
    return np.__version__


@contextlib.contextmanager
def open(_model: Model | None, _spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Give a session that answers zeros."""
    answers: dict[int, Logits] = {}

    def run(images: Images) -> Logits:
        size = len(images)
        if size not in answers:
            answers[size] = np.zeros((size, CLASSES), np.float32)
        return answers[size]

    yield Session(run, lambda: Effective("null", "fp32"))
