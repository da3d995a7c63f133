"""ONNX Runtime: the CPU provider, or the CUDA provider without TF32 and without falling back to the CPU."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnist_bench.core.errors import DeviceUnavailable
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.runtimes._contract import (
    Effective,
    Images,
    Layers,
    Logits,
    Model,
    Session,
    Spec,
    as_stored,
    in_float32,
    not_installed,
)
from mnist_bench.runtimes._onnx_graph import (
    may_point_elsewhere,
    pair_sums,
    parsed,
    showing_layers,
    sums_in_half,
)
from mnist_bench.runtimes._onnx_precision import effective_precision

FORMAT, DEVICES = "onnx", ("cpu", "cuda")
PRECISIONS = as_stored("fp32", "fp16", "int8", "int8-dynamic")
COMPILED, LIBRARY = False, "onnxruntime"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return not_installed("onnxruntime")


def why_not_on(device: str) -> Skipped | None:
    """See `Runtime`."""
    import onnxruntime

    if device == "cpu" or CUDA in onnxruntime.get_available_providers():
        return None
    remedy = "pip uninstall onnxruntime && pip install onnxruntime-gpu"
    return Skipped("onnxruntime", "this build has no CUDA provider", remedy)


def version() -> str:
    """Return onnxruntime's version."""
    import onnxruntime

    return str(onnxruntime.__version__)


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a file in the configuration that is deployed: all optimisations, one operation at a time."""
    import onnxruntime

    # To parse our own would add to what opening costs; but a run's folder may be somebody else's.
    batch = parsed(model)[1] if model.foreign or may_point_elsewhere(model.content) else None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = spec.threads, 1
    options.log_severity_level = 3
    if spec.device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = onnxruntime.InferenceSession(model.content, options, providers=_providers(spec.device))
    provider = session.get_providers()[0]
    if provider != (CPU if spec.device == "cpu" else CUDA):
        raise DeviceUnavailable(f"onnxruntime runs on {provider} instead of {spec.device}: repair its CUDA libraries")
    name, outputs = session.get_inputs()[0].name, model.output and [model.output]  # weights are no inputs of a session

    def run(images: Images) -> Logits:
        logits: Logits = session.run(outputs, {name: images})[0]
        return logits

    def layers(images: Images) -> Layers:
        """Ask a second session, of which the layers are outputs: it fuses no activation with the layer before."""
        proto, names = showing_layers(model)
        showing = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=_providers(spec.device))
        values = showing.run(None, {name: images})
        return {layer: value.astype(np.float32) for layer, value in zip(names, values, strict=True)}

    yield Session(in_float32(run, model), lambda: _effective(model, provider), batch, layers)


def _effective(model: Model, provider: str) -> Effective:
    graph = parsed(model)[0].graph
    precision = effective_precision(graph)
    arithmetic = _arithmetic(model, provider) if precision == "fp16" else None
    return Effective(provider, precision, pair_sums(graph), arithmetic)


def _arithmetic(model: Model, provider: str) -> Precision:
    """Look in what the optimised graph computes: where a processor has no kernels for fp16, it has been cast."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
        onnxruntime.InferenceSession(model.content, options, providers=[provider])
        return "fp16" if sums_in_half(onnx.load(options.optimized_model_filepath).graph) else "fp32"


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [CPU]
    return [(CUDA, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": "0"})]
