"""ExecuTorch with XNNPACK: the library that runs on phones and boards, here from Python."""

import contextlib
import warnings
from collections.abc import Iterator
from importlib.metadata import version as installed

from mnist_bench.core import remarks
from mnist_bench.core.architecture import PARAMETERS
from mnist_bench.core.errors import RuntimeFailed
from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored, extra

FORMAT, DEVICES, PRECISIONS = "executorch", ("cpu",), as_stored("fp32", "int8")
EXTRA = ("executorch", "executorch", (1, 5))
COMPILED, LIBRARY = False, "executorch"
WANTS = ("executorch", "torch")
"""Its Python package does not say that it needs PyTorch."""

FLOAT_BYTES = 4
BACKEND = b"XnnpackBackend"


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return extra("executorch", *EXTRA)


def why_not_on(_device: str) -> Skipped | None:
    """See `Runtime`."""
    return None


def version() -> str:
    """Return ExecuTorch's version."""
    return installed("executorch")


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Load a program."""
    import torch

    with warnings.catch_warnings(), remarks.without(*remarks.ENUM):
        warnings.simplefilter("ignore")  # that its interface may change, on every import
        from executorch.extension.pybindings import portable_lib

    # Private, and the only way: all programs of a process share one pool of threads.
    portable_lib._unsafe_reset_threadpool(spec.threads)
    if portable_lib._threadpool_get_thread_count() != spec.threads:
        raise RuntimeFailed(f"its pool has {portable_lib._threadpool_get_thread_count()} threads, not {spec.threads}")
    program = portable_lib._load_for_executorch_from_buffer(model.content)

    def run(images: Images) -> Logits:
        logits: Logits = program.forward([torch.from_numpy(images)])[0].numpy()
        return logits

    yield Session(run, lambda: _effective(model.content))


def _effective(content: bytes) -> Effective:
    """Look at the program: who runs its layers, and whether there is room in it for weights of four bytes each."""
    provider = "XNNPACK" if BACKEND in content else "portable kernels"
    return Effective(provider, "fp32" if len(content) >= FLOAT_BYTES * PARAMETERS else "int8")
