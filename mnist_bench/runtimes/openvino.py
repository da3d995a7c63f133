"""OpenVINO on a CPU, which lowers the precision by itself where a processor allows it, unless it is told not to."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mnist_bench.core.errors import DeviceUnavailable
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, extra, in_float32
from mnist_bench.runtimes._onnx_graph import may_point_elsewhere, pair_sums, parsed
from mnist_bench.runtimes._onnx_precision import effective_precision

FORMAT, DEVICES = "onnx", ("cpu",)
PRECISIONS: dict[Precision, Precision] = {
    "fp32": "fp32",
    "bf16": "fp32",
    "int8": "int8",
    "int8-dynamic": "int8-dynamic",
}
EXTRA = ("openvino", "openvino", (2025, 4))
COMPILED, LIBRARY = False, "openvino"
DEVICE = "CPU"
NO_BF16 = "this processor has no instructions for bf16, or may not use them"
PRODUCTS = ("FullyConnected", "MatMul")
HALVES = {"bf16": "bf16", "f16": "fp16"}
"""OpenVINO's names of what products may be lowered to, and ours."""


def why_unavailable() -> Skipped | None:
    """See `Runtime`."""
    return extra("openvino", *EXTRA)


def why_not_on(_device: str) -> Skipped | None:
    """See `Runtime`."""
    return None


def version() -> str:
    """Return OpenVINO's version, without the build's name."""
    import openvino

    return str(openvino.__version__).partition("-")[0]


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Compile a file for one request at a time, and bind its tensors."""
    import openvino

    batch = parsed(model)[1] if model.foreign or may_point_elsewhere(model.content) else None
    core = openvino.Core()
    lowered = spec.precision == "bf16"
    if lowered and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise DeviceUnavailable(NO_BF16)
    properties = {
        "INFERENCE_PRECISION_HINT": "bf16" if lowered else "f32",
        "INFERENCE_NUM_THREADS": spec.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(model.content), DEVICE, properties)
    request = compiled.create_infer_request()
    answer = compiled.output(model.output) if model.output else compiled.output(0)
    bound = np.empty((0, *model.shape), model.dtype)

    def run(images: Images) -> Logits:
        nonlocal bound
        # Images are copied into memory that is bound once: half of what a call on other memory takes.
        if bound.shape != images.shape:
            bound = np.empty(images.shape, images.dtype)
            request.set_input_tensor(openvino.Tensor(bound, shared_memory=True))
        np.copyto(bound, images)
        request.infer()
        return np.array(request.get_tensor(answer).data)

    # Where oneDNN is told to leave instructions alone, OpenVINO does not know, and gives no answer at all.
    if lowered and not run(np.zeros((batch or model.batch or 1, *model.shape), model.dtype)).size:
        raise DeviceUnavailable(NO_BF16)
    yield Session(in_float32(run, model), lambda: _effective(model, compiled), batch)


def _effective(model: Model, compiled: Any) -> Effective:
    """Look at the compiled graph: in what each product runs, and not what was asked for."""
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    ran = {node["runtimePrecision"].astype(str) for node in nodes if node["layerType"].astype(str) in PRODUCTS}
    graph = parsed(model)[0].graph
    lowered = sorted(HALVES[one] for one in ran & HALVES.keys())
    # Where integers are multiplied as float32, as of a dynamically quantised file, they are what the file says.
    precision = lowered[0] if lowered else effective_precision(graph)
    sums = pair_sums(graph) if ran & {"i8", "u8"} else None
    return Effective(f"OpenVINO {DEVICE}", precision, sums)
