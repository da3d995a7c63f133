"""TorchScript's interpreter; loading a file runs what is in it."""

import contextlib
import io
import warnings
from collections.abc import Iterator

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import Model, Session, Spec, as_stored, not_installed

FORMAT, DEVICES, PRECISIONS = "torchscript", ("cpu", "cuda"), as_stored("fp32")
COMPILED, LIBRARY = False, "torch"
version = _torch.version


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("torchscript", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("torchscript", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a file."""
    import torch

    with _torch.configured(spec), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        loaded = torch.jit.load(io.BytesIO(model.content), map_location=spec.device)  # type: ignore[no-untyped-call]
        yield _torch.session(loaded, spec.device)
