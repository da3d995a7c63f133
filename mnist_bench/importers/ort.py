"""ONNX Runtime's own files, which it alone opens; it writes what is in them as ONNX, so that it can be looked at."""

from msgspec.structs import replace

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.importers import onnx as of_onnx
from mnist_bench.importers._contract import Found, Given, Request

WHAT, PROGRAM = "a file of ONNX Runtime", False
MARK, AT = b"ORTM", 4
"""The identifier of such a FlatBuffer, and where it stands."""


def recognises(given: Given) -> bool:
    """See `Importer`."""
    return given.content.startswith(MARK, AT)


def read(request: Request) -> Found:
    """Let ONNX Runtime write it as ONNX, and look at that: it is the graph, and the file itself is what is deployed.

    Raises:
        ModelRefused: ONNX Runtime cannot open it.
    """
    written = request.folder / "written.onnx"
    try:
        _write_as_onnx(request.content, str(written))
        content = written.read_bytes()
    except Exception as error:
        raise ModelRefused(
            f"ONNX Runtime cannot open it ({text.reason(str(error))}): it may be of another version; give the ONNX "
            f"file that it was made of"
        ) from error
    finally:
        written.unlink(missing_ok=True)
    found = of_onnx.examined(content, request, checked=False)
    return replace(found, kind="ort", opens=("ort",), notes=(*found.notes, "only ONNX Runtime opens such a file"))


def _write_as_onnx(content: bytes, path: str) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.load_model_format", "ORT")
    options.add_session_config_entry("session.save_model_format", "ONNX")
    options.optimized_model_filepath = path
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
