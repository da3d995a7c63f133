"""A quantised LiteRT file as a chain of steps: what the certificate for int8 reads."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from mnist_bench.parity._steps import Activate, NotCovered, Product, QuantiseByRange, Shift, Step

OPERANDS = 3
"""Of a layer: what it reads, its weights and its bias."""

LARGEST = 127
"""Of a weight, by LiteRT's specification of quantisation."""


def steps_of(content: bytes) -> tuple[Step, ...]:
    """Read the steps of a `.tflite` file whose layers quantise what they read, an image at a time.

    Raises:
        NotCovered: it holds something else than fully connected layers of int8 weights and this network's activations,
            or the module that knows its schema is not here.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise NotCovered("LiteRT, which knows how to read it, is not installed") from error
    try:
        return tuple(_steps(schema.ModelT.InitFromPackedBuf(content), schema))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise NotCovered(f"its graph makes no sense here: {str(error) or type(error).__name__}") from error


def _steps(model: Any, schema: Any) -> Iterator[Step]:
    """Follow a graph from its image to its logits: every operator reads what the one before gives."""
    (graph,) = model.subgraphs
    (at,), (last,) = graph.inputs, graph.outputs
    for operator in graph.operators:
        if operator.inputs[0] != at:
            raise NotCovered("it is no chain of operators")
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.LOGISTIC:
            yield Activate("sigmoid")
        elif code == schema.BuiltinOperator.FULLY_CONNECTED:
            yield from _layer(model, graph, operator, schema)
        else:
            raise NotCovered(f"it has an operator of kind {code}")
        (at,) = operator.outputs
    if at != last:
        raise NotCovered("its last operator does not give its answers")


def _layer(model: Any, graph: Any, operator: Any, schema: Any) -> Iterator[Step]:
    if len(operator.inputs) != OPERANDS or min(operator.inputs) < 0:
        raise NotCovered("it has a layer without a bias")
    _, weight, bias = (graph.tensors[place] for place in operator.inputs)
    if bias.type != schema.TensorType.FLOAT32:
        raise NotCovered("it has a bias that is quantised")
    options, kinds = operator.builtinOptions, schema.ActivationFunctionType
    if weight.type != schema.TensorType.INT8 or not options.asymmetricQuantizeInputs:
        raise NotCovered("it has a layer that does not quantise what it reads")
    if weight.quantization.quantizedDimension != 0 or np.any(weight.quantization.zeroPoint):
        raise NotCovered("its weights have no scale for each unit, or a zero point")
    integers = _stored(model, weight, np.int8).astype(np.int64)
    if integers.min(initial=0) < -LARGEST:
        raise NotCovered("it has a weight of -128, and two products with it can leave 16 bits")
    unit = np.broadcast_to(np.asarray(weight.quantization.scale, np.float64), len(integers))
    yield QuantiseByRange(signed=True)
    yield Product(integers * unit[:, None], np.zeros(len(integers)), integers, unit)
    yield Shift(_stored(model, bias, np.dtype("<f4")).astype(np.float64))
    if options.fusedActivationFunction == kinds.RELU:
        yield Activate("relu")
    elif options.fusedActivationFunction != kinds.NONE:
        raise NotCovered(f"it has an activation of kind {options.fusedActivationFunction}")


def _stored(model: Any, tensor: Any, dtype: Any) -> Any:
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)
