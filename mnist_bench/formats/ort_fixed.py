"""ONNX Runtime's own file, optimised for processors like the one that wrote it."""

from functools import partial

from mnist_bench.formats import _ort

OF_GRAPHS = True
FILE_NAME, PRECISIONS = "model.fixed.ort", _ort.PRECISIONS
why_unavailable, export = _ort.why_unavailable, partial(_ort.export, optimised=True)
