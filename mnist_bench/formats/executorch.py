"""ExecuTorch: a `.pte` program whose layers run in XNNPACK, for phones and boards."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.core import remarks
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.pte"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
LARGEST_BATCH = 16_384
"""A program plans its memory when it is exported. Without a bound it is exported without a word, and fails at 128."""

CALIBRATION_IMAGES, CALIBRATION_BATCH = 10_000, 1_000


def why_unavailable() -> Skipped | None:
    """Return why not: it is an extra."""
    from mnist_bench.runtimes import executorch

    return executorch.why_unavailable()


def export(request: "Request", path: Path) -> Facts:
    """Export, quantise where that is asked for, hand every layer to XNNPACK, and save."""
    import torch
    from executorch import version

    with warnings.catch_warnings(), remarks.without(*remarks.ENUM):
        warnings.simplefilter("ignore")  # of libraries about each other
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        shapes = ({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},)
        network = request.network
        if request.precision == "int8":
            network = _quantised(network, request, shapes)
        program = torch.export.export(network, (request.example(),), dynamic_shapes=shapes)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(lowered.buffer)
    return Facts(version="pte", exporter="executorch", exporter_version=str(version.__version__))


def _quantised(network: Any, request: "Request", shapes: Any) -> Any:
    """Quantise weights by channel and activations by ranges that training images show."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer, config = XNNPACKQuantizer(), get_symmetric_quantization_config(is_per_channel=True)
    for name in ("fc1", "fc2"):  # not the last: it is small, and rounding of its activations moves predictions
        quantizer.set_module_name(name, config)
    graph = torch.export.export(network, (request.example(),), dynamic_shapes=shapes).module()
    prepared = prepare_pt2e(graph, quantizer)
    with torch.no_grad():
        for images in torch.split(torch.from_numpy(request.calibration()[:CALIBRATION_IMAGES]), CALIBRATION_BATCH):
            prepared(images)
    return convert_pt2e(prepared)
