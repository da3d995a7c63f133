"""ONNX: one self-contained file, input `image`, output `logits`, any batch size."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Saturation
from mnist_bench.formats import _graph, _quantise
from mnist_bench.formats._messages import Facts
from mnist_bench.runtimes import pair_sums

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.onnx"
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-dynamic")
OF_GRAPHS = True
LEFT_BEHIND = ("metadata_props", "doc_string")


def why_unavailable() -> Skipped | None:
    """onnx, onnxscript and onnxruntime are dependencies: never."""
    return None


def export(request: "Request", path: Path) -> Facts:
    """Write the file; fp16 keeps float32 at the border, int8 is made from the fp32 graph by onnxruntime's tools."""
    import onnx
    import torch

    if request.graph is not None:
        return _graph.export(request, path)
    exported = _export_graph(request)
    if request.precision.startswith("int8"):
        exported = _quantise.quantised(exported, request, "image")
    _strip(exported)
    _describe(exported, request)
    onnx.checker.check_model(exported, full_check=True)
    onnx.shape_inference.infer_shapes(exported, check_type=True, strict_mode=True)
    opset = next(entry.version for entry in exported.opset_import if not entry.domain)
    if request.opset not in (None, opset):  # the exporter keeps silent about an opset that it cannot convert to
        raise BadInput(f"the exporter cannot write opset {request.opset}, only {opset} or one near it")
    path.write_bytes(exported.SerializeToString(deterministic=True))
    sums = pair_sums(exported.graph)
    return Facts(
        version=f"opset {opset}",
        exporter="torch.onnx",
        exporter_version=str(torch.__version__),
        saturation=sums and Saturation.of(*sums),
    )


def _export_graph(request: "Request") -> Any:
    import torch

    class Half(torch.nn.Module):
        """Computes in float16 between float32 borders, so that every precision has one signature."""

        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(request.network).half()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(image.half())
            return logits.float()

    program = torch.onnx.export(
        Half().eval() if request.precision == "fp16" else request.network,
        (request.example(),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["image"],
        output_names=["logits"],
        opset_version=request.opset,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _strip(exported: Any) -> None:
    """Remove what exporters leave behind: stack traces with local paths, and names of Python objects."""
    graph = exported.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph, exported):
        for field in LEFT_BEHIND:
            part.ClearField(field)


def _describe(exported: Any, request: "Request") -> None:
    import onnx

    exported.graph.name = "mnist_bench"
    onnx.helper.set_model_props(exported, request.metadata())
