"""LiteRT (TensorFlow Lite): a `.tflite` file of fully connected layers, for phones and boards.

It is written with the schema that LiteRT's runtime brings. The converter from PyTorch would bring 6.7 GB, another
version of PyTorch among them, and leaves inputs of four dimensions, which cannot be resized under XNNPACK: here an
image is flat.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench import __version__
from mnist_bench.core.architecture import CLASSES, LAYERS, PIXELS
from mnist_bench.core.kinds import Activation, Precision, Skipped
from mnist_bench.formats._messages import Facts

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.tflite"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8-dynamic")
SCHEMA_VERSION, IDENTIFIER = 3, b"TFL3"
LARGEST = 127
"""Of a weight's magnitude, as an integer."""

ANY = -1
"""In a shape's signature: any batch size."""


def why_unavailable() -> Skipped | None:
    """Return why not: it is an extra."""
    from mnist_bench.runtimes import litert

    return litert.why_unavailable()


def export(request: "Request", path: Path) -> Facts:
    """Write the file; with int8 weights, a scale each unit, activations are quantised image by image as it runs."""
    from importlib.metadata import version

    import flatbuffers

    state = {name: value.numpy() for name, value in request.network.state_dict().items()}
    graph = _Graph(state, request.record.config.activation, quantised=request.precision == "int8-dynamic")
    builder = flatbuffers.Builder()
    builder.Finish(graph.model().Pack(builder), IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))
    return Facts(
        version=f"tflite {SCHEMA_VERSION}, LiteRT {version('ai-edge-litert')}",
        exporter="mnist-bench",
        exporter_version=__version__,
    )


class _Graph:
    """A model as objects of the schema: tensors, operators, and the buffers that hold constants."""

    def __init__(self, state: dict[str, NDArray[Any]], activation: Activation, *, quantised: bool) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._activation, self._quantised = schema, activation, quantised
        self._buffers, self._tensors, self._operators = [schema.BufferT()], list[Any](), list[Any]()
        self._kinds = [schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.LOGISTIC]
        at = self._image = self._values("image", PIXELS)
        for layer, (_, outputs) in enumerate(LAYERS, 1):
            at = self._layer(layer, outputs, at, state)
        self._logits = at

    def model(self) -> Any:
        """Return the model."""
        schema, main = self._schema, self._schema.SubGraphT()
        main.name, main.tensors, main.operators = "main", self._tensors, self._operators
        main.inputs, main.outputs = [self._image], [self._logits]
        model = schema.ModelT()
        model.version, model.description = SCHEMA_VERSION, "mnist-bench: pixels / 255, float32 in [0, 1]"
        model.subgraphs, model.buffers = [main], self._buffers
        model.operatorCodes = [self._code(kind) for kind in self._kinds]
        return model

    def _code(self, kind: int) -> Any:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        # A fully connected layer of float inputs and int8 weights is one from its ninth version on.
        code.version = 9 if self._quantised and kind == self._schema.BuiltinOperator.FULLY_CONNECTED else 1
        return code

    def _layer(self, layer: int, outputs: int, before: int, state: dict[str, NDArray[Any]]) -> int:
        """Add a layer with its activation; return the tensor that it gives."""
        schema, last = self._schema, outputs == CLASSES
        options = schema.FullyConnectedOptionsT()
        relu = self._activation == "relu" and not last
        kinds = schema.ActivationFunctionType
        options.fusedActivationFunction = kinds.RELU if relu else kinds.NONE
        options.asymmetricQuantizeInputs = self._quantised
        operands = [before, self._weight(f"fc{layer}.weight", state), self._constant(f"fc{layer}.bias", state)]
        after = self._values("logits" if last else f"fc{layer}", outputs)
        self._operator(0, operands, after, schema.BuiltinOptions.FullyConnectedOptions, options)
        if last or relu:
            return after
        activated = self._values(f"act{layer}", outputs)
        self._operator(1, [after], activated, 0, None)
        return activated

    def _operator(self, code: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        made = self._schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
        made.builtinOptionsType, made.builtinOptions = kind, options
        self._operators.append(made)

    def _values(self, name: str, size: int) -> int:
        """Add a tensor that depends on the image."""
        return self._tensor(name, (1, size), self._schema.TensorType.FLOAT32, (ANY, size))

    def _constant(self, name: str, state: dict[str, NDArray[Any]]) -> int:
        return self._stored(name, state[name].astype("<f4"), self._schema.TensorType.FLOAT32)

    def _weight(self, name: str, state: dict[str, NDArray[Any]]) -> int:
        """Add a layer's weights; as integers where it is quantised, with a scale for each of its units."""
        if not self._quantised:
            return self._constant(name, state)
        scale = (np.abs(state[name]).max(1) / np.float32(LARGEST)).astype(np.float32)
        integers = np.rint(state[name] / np.where(scale > 0, scale, 1)[:, None]).astype(np.int8)
        place = self._stored(name, integers, self._schema.TensorType.INT8)
        grid = self._schema.QuantizationParametersT()
        grid.scale, grid.zeroPoint, grid.quantizedDimension = scale, np.zeros(len(scale), np.int64), 0
        self._tensors[place].quantization = grid
        return place

    def _stored(self, name: str, values: NDArray[Any], kind: int) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._buffers.append(buffer)
        place = self._tensor(name, values.shape, kind)
        self._tensors[place].buffer = len(self._buffers) - 1
        return place

    def _tensor(self, name: str, shape: tuple[int, ...], kind: int, signature: tuple[int, ...] | None = None) -> int:
        made = self._schema.TensorT()
        made.name, made.type, made.shape, made.buffer = name, kind, list(shape), 0
        made.shapeSignature = list(signature) if signature else None
        self._tensors.append(made)
        return len(self._tensors) - 1
