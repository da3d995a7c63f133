"""ONNX Runtime's own files: a graph as it is after optimisation, which a build without ONNX's parser can read."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats import onnx
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int8-dynamic")
"""Not fp16: where a processor has no kernels for it, what is saved is a float32 file under its name."""


def why_unavailable() -> Skipped | None:
    """As of ONNX: never."""
    return None


def export(request: "Request", path: Path, *, optimised: bool) -> Facts:
    """Write the ONNX file, and save what ONNX Runtime makes of it.

    Args:
        request: what to export.
        path: the file to write.
        optimised: for processors like this one ("Fixed" in its documentation); else what is sound on all of them is
            done now, and what else could be done is noted in the file for whoever loads it ("Runtime").
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.onnx")
        facts = onnx.export(request, plain)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            options.add_session_config_entry("optimization.minimal_build_optimizations", "save")
        onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])
        numbers_of = None if request.precision == "fp32" else sha256_of_file(plain)
    return Facts(
        version=f"ort, of {facts.version}",
        exporter="onnxruntime",
        exporter_version=str(onnxruntime.__version__),
        batch=facts.batch,
        saturation=facts.saturation,
        numbers_of=numbers_of,
    )
