"""Machine code that AOTInductor compiled; for the device that it was compiled for."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import torch_eager
from mnist_bench.runtimes._session import Model, Session, Spec, no_cuda, torch_session, torch_threads

FORMAT, DEVICES, PRECISIONS = "aotinductor", ("cpu", "cuda"), ("fp32",)
COMPILED = True  # a file runs on the device that it was compiled for, and on no other
version = torch_eager.version


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None."""
    return no_cuda("aotinductor", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a package."""
    import torch

    with torch_threads(spec.threads):
        yield torch_session(torch._inductor.aoti_load_package(str(model.path)), spec.device)
