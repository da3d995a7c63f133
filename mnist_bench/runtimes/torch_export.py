"""The graph of a `.pt2` archive, run operation by operation."""

import contextlib
import io
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import Model, Session, Spec, as_stored, not_installed

FORMAT, DEVICES, PRECISIONS = "torch-export", ("cpu", "cuda"), as_stored("fp32", "fp16")
COMPILED, LIBRARY = False, "torch"
version = _torch.version


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("torch-export", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torch-export", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load an archive; one from elsewhere runs as whatever it is."""
    import torch

    with _torch.configured(spec):
        program = torch.export.load(io.BytesIO(model.content))
        yield _torch.session(program.module().to(spec.device), spec.device, model, watched=True)
