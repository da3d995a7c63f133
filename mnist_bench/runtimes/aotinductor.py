"""Machine code that AOTInductor compiled; for the device that it was compiled for."""

import contextlib
from collections.abc import Iterator

from mnist_bench.core import remarks
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes import _torch
from mnist_bench.runtimes._contract import Model, Session, Spec, as_stored, not_installed

FORMAT, DEVICES, PRECISIONS = "aotinductor", ("cpu", "cuda"), as_stored("fp32")
COMPILED, LIBRARY = True, "torch"
version = _torch.version

OUTDATED = "torch._inductor.package.package", "Loading outdated pt2 file"
"""Said of a package that an older torch wrote, before it is loaded all the same, or before an error says why not."""


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("aotinductor", "torch", "pip install torch")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    return _torch.no_cuda("aotinductor", device)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a package; its loader takes nothing but a path, and unpacks the machine code beside it."""
    import torch

    with _torch.configured(spec), model.on_disk() as folder:
        (name,) = model.files
        with remarks.without(*OUTDATED):
            loaded = torch._inductor.aoti_load_package(str(folder / name))
        yield _torch.session(loaded, spec.device, model)
