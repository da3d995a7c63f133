"""The graph of a `.pt2` archive, run operation by operation."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import torch_eager
from mnist_bench.runtimes._session import Model, Session, Spec, no_cuda, torch_session, torch_threads

FORMAT, DEVICES, PRECISIONS = "torch-export", ("cpu", "cuda"), ("fp32",)
version = torch_eager.version


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None."""
    return no_cuda("torch-export", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load an archive."""
    import torch

    with torch_threads(spec.threads):
        yield torch_session(torch.export.load(model.path).module().to(spec.device), spec.device)
