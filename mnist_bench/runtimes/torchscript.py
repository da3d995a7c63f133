"""TorchScript's interpreter; loading a file runs what is in it."""

import contextlib
import warnings
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import torch_eager
from mnist_bench.runtimes._session import Model, Session, Spec, no_cuda, torch_session, torch_threads

FORMAT, DEVICES, PRECISIONS = "torchscript", ("cpu", "cuda"), ("fp32",)
version = torch_eager.version


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None."""
    return no_cuda("torchscript", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file."""
    import torch

    with torch_threads(spec.threads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        loaded = torch.jit.load(model.path, map_location=spec.device)  # type: ignore[no-untyped-call]
        yield torch_session(loaded, spec.device)
