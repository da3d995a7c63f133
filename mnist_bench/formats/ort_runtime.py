"""ONNX Runtime's own file, optimised for no processor: whoever loads it does the rest."""

from functools import partial

from mnist_bench.formats import _ort

OF_GRAPHS = True
FILE_NAME, PRECISIONS = "model.runtime.ort", _ort.PRECISIONS
why_unavailable, export = _ort.why_unavailable, partial(_ort.export, optimised=False)
