"""An imported network as an ONNX file: the graph as it came, in half precision, or quantised."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.core import text
from mnist_bench.core.errors import BadInput
from mnist_bench.core.types import Saturation
from mnist_bench.formats import _quantise
from mnist_bench.formats._messages import Facts
from mnist_bench.runtimes import _onnx_graph as graphs
from mnist_bench.runtimes import pair_sums

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request


def export(request: "Request", path: Path) -> Facts:
    """Write the file; in the precision that it came in it is written byte for byte as it was imported."""
    import onnx
    import onnxruntime

    imported = request.record.imported
    assert request.graph is not None
    assert imported
    made = onnx.load_model_from_string(request.graph)
    as_it_came = request.precision in {"fp32", imported.precision}
    if not as_it_came:
        made = _lowered(made, request)
        path.write_bytes(made.SerializeToString(deterministic=True))
    else:
        path.write_bytes(request.graph)
    sums = pair_sums(made.graph)
    return Facts(
        version=f"opset {next((entry.version for entry in made.opset_import if not entry.domain), 0)}",
        exporter=made.producer_name or "unknown" if as_it_came else "onnxruntime",
        exporter_version=made.producer_version if as_it_came else str(onnxruntime.__version__),
        batch=request.record.signature.batch,
        saturation=sums and Saturation.of(*sums),
    )


def _lowered(made: Any, request: "Request") -> Any:
    """Let onnxruntime's tools write it in a lower precision; they do not know every graph."""
    try:
        return _in_half(made) if request.precision == "fp16" else _in_bytes(made, request)
    except Exception as error:  # whatever they raise
        reason = text.reason(text.of_error(error))
        raise BadInput(f"onnxruntime's tools cannot write this graph in {request.precision}: {reason}") from error


def _in_half(made: Any) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(made, keep_io_types=True)


def _in_bytes(made: Any, request: "Request") -> Any:
    (image,) = graphs.inputs_of(made.graph)
    for place, node in enumerate(made.graph.node):
        node.name = node.name or f"{node.op_type}-{place}"  # some are excluded by their names
    return _quantise.quantised(made, request, image.name)
