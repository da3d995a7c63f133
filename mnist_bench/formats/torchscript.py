"""TorchScript: deprecated upstream, still deployed; `torch-export` and `aotinductor` succeed it."""

import io
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats._messages import Facts
from mnist_bench.formats._zip import rewritten

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.ts"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
FIRST_UNSUPPORTED = (3, 14)


def why_unavailable() -> Skipped | None:
    """Return why not: from Python 3.14 on torch calls it unsupported."""
    if sys.version_info >= FIRST_UNSUPPORTED:
        version = ".".join(map(str, FIRST_UNSUPPORTED))
        return Skipped(
            "torchscript", f"torch does not support it on Python {version} or newer", "use --format torch-export"
        )
    return None


def export(request: "Request", path: Path) -> Facts:
    """Trace, freeze and save; without the debug records, which hold local paths."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        frozen = torch.jit.freeze(torch.jit.trace(request.network, request.example()))  # type: ignore[no-untyped-call]
        written = io.BytesIO()  # torch's own writer says nothing of a full disk, and how it fails is not an OSError
        torch.jit.save(frozen, written)
    path.write_bytes(
        rewritten(written.getvalue(), lambda name, content: None if name.endswith(".debug_pkl") else content)
    )
    return Facts(version="torchscript", exporter="torch.jit.trace", exporter_version=str(torch.__version__))
