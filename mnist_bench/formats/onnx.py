"""ONNX: one self-contained file, input `image`, output `logits`, any batch size."""

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Saturation
from mnist_bench.formats._messages import Facts
from mnist_bench.runtimes import pair_sums

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.onnx"
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-dynamic")
# 1,000, 10,000 and 60,000 images come to as many flips (docs/processors.md); batches only bound the memory.
CALIBRATION_IMAGES, CALIBRATION_BATCH = 10_000, 100
LEFT_BEHIND = ("metadata_props", "doc_string")


def why_unavailable() -> Skipped | None:
    """onnx, onnxscript and onnxruntime are dependencies: never."""
    return None


def export(request: "Request", path: Path) -> Facts:
    """Write the file; fp16 keeps float32 at the border, int8 is made from the fp32 graph by onnxruntime's tools."""
    import onnx
    import torch

    exported = _export_graph(request)
    if request.precision.startswith("int8"):
        exported = _quantise(exported, request)
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


def _quantise(exported: Any, request: "Request") -> Any:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    last = [node.name for node in exported.graph.node if node.op_type == "Gemm"][-1]
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, quantised = (Path(folder, name) for name in ("plain.onnx", "prepared.onnx", "quantised.onnx"))
        # Shapes are inferred anew: of weights, which the quantiser transposes in place, the exporter's would be wrong.
        del exported.graph.value_info[:]
        onnx.save(exported, plain)
        # ONNX itself infers every shape of this graph; the symbolic inference of onnxruntime 1.24 gives up on it.
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        # Weights of 7 bits: two products of 255 and 64 fit into the 16 bits in which processors without VNNI add
        # them, whichever two a kernel pairs. docs/processors.md has what was weighed against it.
        common = {"per_channel": True, "weight_type": quantization.QuantType.QInt8, "reduce_range": True}
        if request.precision == "int8-dynamic":
            quantization.quantize_dynamic(prepared, quantised, **common)
        else:
            reader = _reader(request.calibration()[:CALIBRATION_IMAGES])
            quantization.quantize_static(prepared, quantised, reader, nodes_to_exclude=[last], **common)
        return _without_unused_domains(onnx.load(quantised))


def _reader(images: NDArray[np.float32]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(images), CALIBRATION_BATCH)
            self.batches = iter([{"image": images[at : at + CALIBRATION_BATCH]} for at in starts])

        def get_next(self) -> Any:
            return next(self.batches, None)

    return Reader()


def _without_unused_domains(exported: Any) -> Any:
    """Drop the opset imports that onnxruntime's tools add for domains that no node uses."""
    used = {node.domain for node in exported.graph.node}
    kept = [entry for entry in exported.opset_import if entry.domain in used]
    del exported.opset_import[:]
    exported.opset_import.extend(kept)
    return exported


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
