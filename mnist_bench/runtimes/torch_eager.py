"""PyTorch as it comes, operation by operation."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import Model, Session, Spec, as_stored, not_installed

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu", "cuda"), as_stored("fp32")
COMPILED, LIBRARY = False, "torch"
version = _torch.version


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("torch-eager", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torch-eager", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a checkpoint."""
    with _torch.configured(spec):
        yield _torch.session(_torch.network(model, spec.device), spec.device)
