"""ncnn: a graph in words, `model.param`, and its numbers, `model.bin`, in one folder.

The layout is that of ncnn's wiki ("param and model file structure", and "operators": InnerProduct). It is written here:
the converter, pnnx, brings another PyTorch of 5 GB for six lines and three matrices.
"""

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench import __version__
from mnist_bench.core.architecture import LAYERS, PIXELS
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.ncnn"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
MAGIC = 7767517
"""The first line of every graph."""

FLOAT32 = struct.pack("<I", 0)
"""Before a matrix: what its numbers are."""

ACTIVATIONS = {"relu": 1, "sigmoid": 4}


def why_unavailable() -> Skipped | None:
    """It is written without ncnn: never."""
    return None


def export(request: "Request", path: Path) -> Facts:
    """Write both files; an image is 784 numbers to ncnn, the activation a part of the layer before."""
    state = {name: value.numpy() for name, value in request.network.state_dict().items()}
    activation = ACTIVATIONS[request.record.config.activation]
    lines, numbers = [f"Input image 0 1 image 0={PIXELS}"], b""
    for layer, (inputs, outputs) in enumerate(LAYERS, 1):
        before, after = f"act{layer - 1}" if layer > 1 else "image", f"act{layer}" if layer < len(LAYERS) else "logits"
        kind = activation if layer < len(LAYERS) else 0
        lines.append(f"InnerProduct fc{layer} 1 1 {before} {after} 0={outputs} 1=1 2={inputs * outputs} 9={kind}")
        weight, bias = (state[f"fc{layer}.{part}"].astype("<f4") for part in ("weight", "bias"))
        numbers += FLOAT32 + weight.tobytes() + bias.tobytes()
    path.mkdir()
    blobs = len(lines)  # each layer gives one
    (path / "model.param").write_text(f"{MAGIC}\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (path / "model.bin").write_bytes(numbers)
    return Facts(version="ncnn param 7767517", exporter="mnist-bench", exporter_version=__version__, batch=1)
