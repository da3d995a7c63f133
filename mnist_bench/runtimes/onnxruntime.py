"""ONNX Runtime: the CPU provider, or the CUDA provider without TF32 and without falling back to the CPU."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from mnist_bench.core.errors import DeviceUnavailable
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.runtimes._onnx_graph import effective_precision, saturation
from mnist_bench.runtimes._session import Effective, Images, Logits, Model, Session, Spec

FORMAT, DEVICES = "onnx", ("cpu", "cuda")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-dynamic")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def why_unavailable(device: str = "cpu") -> Skipped | None:
    """Return why it cannot be used on a device, or None."""
    if not find_spec("onnxruntime"):
        return Skipped("onnxruntime", "it is not installed", "pip install onnxruntime")
    if device == "cpu":
        return None
    import onnxruntime

    if CUDA in onnxruntime.get_available_providers():
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

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = spec.threads, 1
    options.log_severity_level = 3
    if spec.device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = onnxruntime.InferenceSession(str(model.path), options, providers=_providers(spec.device))
    provider = session.get_providers()[0]
    if provider != (CPU if spec.device == "cpu" else CUDA):
        raise DeviceUnavailable(f"onnxruntime runs on {provider} instead of {spec.device}: mend its CUDA libraries")
    name = session.get_inputs()[0].name

    def run(images: Images) -> Logits:
        logits: Logits = session.run(None, {name: images})[0]
        return logits

    yield Session(run, lambda: _effective(model, provider))


def _effective(model: Model, provider: str) -> Effective:
    import onnx

    graph = onnx.load(model.path, load_external_data=False).graph
    return Effective(provider, effective_precision(graph), saturation(graph))


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [CPU]
    return [(CUDA, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": "0"})]
