"""torch.export: a `.pt2` archive of the graph in ATen operators, any batch size."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.pt2"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
LOCAL_METADATA = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def why_unavailable() -> Skipped | None:
    """It is part of torch: never."""
    return None


def program(request: "Request") -> Any:
    """Return the exported program, without the metadata that hold local paths."""
    import torch

    exported = torch.export.export(
        request.network, (request.example(),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    for node in exported.graph.nodes:
        for key in LOCAL_METADATA:
            node.meta.pop(key, None)
    return exported


def export(request: "Request", path: Path) -> Facts:
    """Write the archive."""
    import torch

    content = io.BytesIO()  # torch's own writer says nothing of a full disk, and how it fails is not an OSError
    torch.export.save(program(request), content)
    path.write_bytes(content.getvalue())
    return Facts(version="pt2 archive", exporter="torch.export", exporter_version=str(torch.__version__))
