"""torch.compile: the network compiled at its first call, for any batch size."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core import remarks
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.toolchain import no_compiler
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import Model, Session, Spec, as_stored, not_installed

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu", "cuda"), as_stored("fp32")
COMPILED, LIBRARY = False, "torch"
version = _torch.version


def why_unavailable() -> Skipped | None:
    """See `Runtime`; it needs a C++ compiler."""
    return not_installed("torch-compile", "torch", "pip install torch") or no_compiler("torch-compile")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torch-compile", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a checkpoint; the first call compiles."""
    import torch

    with _torch.configured(spec), remarks.without(*remarks.NO_CUDA):
        torch.compiler.reset()  # code compiled for another number of threads would be used again
        yield _torch.session(torch.compile(_torch.network(model, spec.device), dynamic=True), spec.device, model)
