"""ONNX Runtime with a file of its own that it optimises for this processor when it loads it."""

from mnist_bench.runtimes import _ort

FORMAT, DEVICES, PRECISIONS = "ort-runtime", _ort.DEVICES, _ort.PRECISIONS
COMPILED, LIBRARY = _ort.COMPILED, _ort.LIBRARY
why_unavailable, why_not_on, version, open = _ort.why_unavailable, _ort.why_not_on, _ort.version, _ort.open  # noqa: A001
