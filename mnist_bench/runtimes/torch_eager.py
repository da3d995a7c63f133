"""PyTorch as it comes, operation by operation."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._session import Model, Session, Spec, no_cuda, torch_session, torch_threads
from mnist_bench.runtimes._torch_network import network

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu", "cuda"), ("fp32",)


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None."""
    return no_cuda("torch-eager", device)


def version() -> str:
    """Return torch's version."""
    import torch

    return str(torch.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a checkpoint."""
    with torch_threads(spec.threads):
        yield torch_session(network(model, spec.device), spec.device)
