"""C: the network as one C99 source without dependencies, for microcontrollers and whatever else has a compiler."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench import __version__
from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.formats import onnx
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.c"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
A_LINE = 12
"""Numbers."""

ACTIVATIONS = {
    "relu": "values[unit] > 0.0f ? values[unit] : 0.0f",
    "sigmoid": "1.0f / (1.0f + expf(-values[unit]))",
}
Numbers = NDArray[Any]


def why_unavailable() -> Skipped | None:
    """It is text: never."""
    return None


def export(request: "Request", path: Path) -> Facts:
    """Write the source; int8 has the numbers of the ONNX file, which is made for it."""
    parts, numbers_of = _quantised(request) if request.precision == "int8" else (_plain(request), None)
    template = "int8" if numbers_of else "float"
    arrays = {name: value for name, value in parts.items() if isinstance(value, np.ndarray)}
    filled = {name: _text(value) for name, value in parts.items()}
    title = (
        "784-512-256-10 with {activation}, {precision}, run {run}: {classes}; weights {weights_sha256:.16}".format_map(
            {**request.metadata(), "classes": _in_a_comment(request.metadata()["classes"])}
        )
    )
    flash = f"{sum(array.nbytes for array in arrays.values()):,}"
    source = Template((Path(__file__).parent / f"_network_{template}.c").read_text(encoding="utf-8"))
    path.write_text(source.substitute(filled, title=title, flash=flash), encoding="utf-8")
    return Facts(version="C99", exporter="mnist-bench", exporter_version=__version__, numbers_of=numbers_of)


def _in_a_comment(words: str) -> str:
    """Return words that do not end a comment: not even where taking an end out would make another."""
    return words.replace("*/", "* /")


def _text(value: Any) -> str:
    """Write numbers as C reads them back exactly: floats in hexadecimal."""
    match value:
        case np.ndarray():
            return _lines(map(_text, value.ravel().tolist()))
        case float():
            return f"{value.hex()}f"
    return str(value)


def _lines(numbers: Iterable[str]) -> str:
    found = list(numbers)
    return "".join(f"\n    {', '.join(found[at : at + A_LINE])}," for at in range(0, len(found), A_LINE))


def _plain(request: "Request") -> dict[str, Any]:
    state = {name: value.numpy() for name, value in request.network.state_dict().items()}
    layers = {f"weight_{layer}": state[f"fc{layer}.weight"].T for layer in (1, 2, 3)}
    return {
        **layers,
        **{f"bias_{layer}": state[f"fc{layer}.bias"] for layer in (1, 2, 3)},
        "activation": ACTIVATIONS[request.record.config.activation],
    }


def _quantised(request: "Request") -> tuple[dict[str, Any], str]:
    """Take the integers, scales and zero points out of the statically quantised ONNX file; return its hash, too."""
    from onnx import load, numpy_helper

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "quantised.onnx")
        onnx.export(request, file)
        graph, digest = load(file).graph, sha256_of_file(file)
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    grids = [
        (np.float32(stored[node.input[1]]), int(stored[node.input[2]]))
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    ]
    if request.record.config.activation == "relu":  # is done by the rounding: what is below zero is cut off there
        grids = [grids[0], grids[1], grids[1], grids[2], grids[2]]
    (scale, zero), before_1, after_1, before_2, after_2 = grids
    curve = None if request.record.config.activation == "relu" else _sigmoid
    parts = {
        **_layer(stored, 1, scale, before_1[0]),
        **_layer(stored, 2, after_1[0], before_2[0]),
        "weight_3": stored["fc3.weight"].T,
        "bias_3": stored["fc3.bias"],
        "activated_1": _table(before_1, after_1, curve),
        "activated_2": _table(before_2, after_2, curve),
        "scale_0": float(scale),
        "zero_0": zero,
        "zero_1": before_1[1],
        "zero_a1": after_1[1],
        "zero_2": before_2[1],
        "scale_a2": float(after_2[0]),
        "zero_a2": after_2[1],
    }
    return parts, digest


def _layer(stored: Mapping[str, Numbers], layer: int, scale: np.float32, scale_out: np.float32) -> dict[str, Numbers]:
    """Return a layer's integers, and by what its sums are multiplied: float32, rounded twice, as others do it."""
    return {
        f"weight_{layer}": stored[f"fc{layer}.weight_quantized"].T,
        f"bias_{layer}": stored[f"fc{layer}.bias_quantized"],
        f"multiplier_{layer}": (scale * stored[f"fc{layer}.weight_scale"]) / scale_out,
    }


def _sigmoid(values: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-values))


def _table(before: tuple[np.float32, int], after: tuple[np.float32, int], curve: Any) -> Numbers:
    """Return what each integer becomes: int8 (256,)."""
    integers = np.arange(-128, 128)
    if curve is None:
        return integers.astype(np.int8)
    values = curve(float(before[0]) * (integers - before[1])) / float(after[0])
    table: Numbers = np.clip(np.rint(values) + after[1], -128, 127).astype(np.int8)
    return table
