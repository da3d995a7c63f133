"""Quantised ONNX graphs, made by onnxruntime's tools."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mnist_bench.core.errors import BadInput

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

# 1,000, 10,000 and 60,000 images come to as many flips (docs/processors.md); batches only bound the memory.
CALIBRATION_IMAGES, CALIBRATION_BATCH = 10_000, 100
PRODUCTS = ("Gemm", "MatMul", "Conv")
INTEGERS = re.compile("Quantize|Integer|QLinear")
"""What operators on integers have in their names."""


def quantised(exported: Any, request: "Request", image: str) -> Any:
    """Quantise a graph; where ranges are fixed, the last of several products and what follows it stay in float.

    Args:
        exported: the `ModelProto`; it is changed. Its nodes have names.
        request: in which precision, and the images to calibrate with.
        image: the name of the graph's input.

    Raises:
        BadInput: there is nothing in it to quantise.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, made = (Path(folder, name) for name in ("plain.onnx", "prepared.onnx", "quantised.onnx"))
        # Shapes are inferred anew: of weights, which the quantiser transposes in place, the exporter's would be wrong.
        del exported.graph.value_info[:]
        onnx.save(exported, plain)
        # ONNX itself infers every shape of this graph; the symbolic inference of onnxruntime 1.24 gives up on it.
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        # Weights of 7 bits: two products of 255 and 64 fit into the 16 bits in which processors without VNNI add
        # them, whichever two a kernel pairs. docs/processors.md has what was weighed against it.
        common = {"per_channel": True, "weight_type": quantization.QuantType.QInt8, "reduce_range": True}
        if request.precision == "int8-dynamic":
            quantization.quantize_dynamic(prepared, made, **common)
        else:
            images = request.calibration()[:CALIBRATION_IMAGES]
            reader = _reader(images, image, request.record.signature.batch or CALIBRATION_BATCH)
            quantization.quantize_static(
                prepared, made, reader, nodes_to_exclude=_last(onnx.load(prepared).graph), **common
            )
        found = onnx.load(made)
    if not any(INTEGERS.search(node.op_type) for node in found.graph.node):
        raise BadInput("there is no product in it to quantise")
    return _without_unused_domains(found)


def _last(graph: Any) -> list[str]:
    """Name the last of several products of a graph, and what follows it; one alone is quantised."""
    places = [place for place, node in enumerate(graph.node) if node.op_type in PRODUCTS]
    return [node.name for node in graph.node[places[-1] :]] if len(places) > 1 else []


def _reader(images: NDArray[Any], name: str, batch: int) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(images), batch)
            self.batches = iter([{name: images[at : at + batch]} for at in starts])

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
