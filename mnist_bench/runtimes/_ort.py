"""ONNX Runtime with files of its own, which it runs as they are."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnist_bench.runtimes import onnxruntime
from mnist_bench.runtimes._contract import Effective, Images, Logits, Model, Session, Spec, as_stored, in_float32
from mnist_bench.runtimes._onnx_graph import pair_sums
from mnist_bench.runtimes._onnx_precision import effective_precision

DEVICES, PRECISIONS = ("cpu",), as_stored("fp32", "int8", "int8-dynamic")
COMPILED, LIBRARY = False, "onnxruntime"
why_unavailable, version = onnxruntime.why_unavailable, onnxruntime.version


def why_not_on(_device: str) -> None:
    """See `Runtime`."""


@contextlib.contextmanager
def open(model: Model, spec: Spec) -> Iterator[Session]:  # noqa: A001 the contract's name
    """Open a file."""
    session = _session(model, spec.threads)
    name, outputs = session.get_inputs()[0].name, model.output and [model.output]

    def run(images: Images) -> Logits:
        logits: Logits = session.run(outputs, {name: images})[0]
        return logits

    yield Session(in_float32(run, model), lambda: _effective(model, session.get_providers()[0]))


def _session(model: Model, threads: int, written_to: Path | None = None) -> Any:
    import onnxruntime as engine

    options = engine.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ORT")
    if written_to:
        options.optimized_model_filepath = str(written_to)
        options.add_session_config_entry("session.save_model_format", "ONNX")
    return engine.InferenceSession(model.content, options, providers=[onnxruntime.CPU])


def _effective(model: Model, provider: str) -> Effective:
    """Let it write what it runs as ONNX, and look at that."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        _session(model, 1, Path(folder, "run.onnx"))
        graph = onnx.load(Path(folder, "run.onnx")).graph
    return Effective(provider, effective_precision(graph), pair_sums(graph))
