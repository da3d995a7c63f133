"""torch.compile: the network compiled at its first call, for any batch size."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.core.toolchain import no_compiler
from mnist_bench.runtimes import torch_eager
from mnist_bench.runtimes._session import Model, Session, Spec, no_cuda, torch_session, torch_threads
from mnist_bench.runtimes._torch_network import network

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu", "cuda"), ("fp32",)
version = torch_eager.version


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None: it needs a C++ compiler."""
    return no_compiler("torch-compile") or no_cuda("torch-compile", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a checkpoint; the first call compiles."""
    import torch

    with torch_threads(spec.threads):
        torch.compiler.reset()  # code compiled for another number of threads would be used again
        yield torch_session(torch.compile(network(model, spec.device), dynamic=True), spec.device)
