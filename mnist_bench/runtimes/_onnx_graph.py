"""What an ONNX file says of itself, and whether one from elsewhere is what it should be."""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.errors import ModelRefused, Unsupported
from mnist_bench.core.kinds import LARGEST_BYTE, LARGEST_INT16, MIDDLE_BYTE
from mnist_bench.runtimes._contract import ACTIVATED, DENSE, Model, PairSums, layer_names
from mnist_bench.runtimes._onnx_precision import INTEGER_PRODUCTS, QUANTISED_PRODUCTS, QUANTISED_WEIGHT

if TYPE_CHECKING:
    from mnist_bench.core.signature import Signature

PRODUCTS = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul")
SIGNATURE = [[1, 28, 28], [10]]  # without the batch
FLOAT = 1  # onnx.TensorProto.FLOAT
LAYER_KINDS = {
    **dict.fromkeys((*PRODUCTS, "Add"), DENSE),
    **dict.fromkeys(("Relu", "Sigmoid"), ACTIVATED),
    **dict.fromkeys(("Reshape", "Flatten", "Identity", "Cast"), ""),  # of another shape or type, and the same values
}


def parsed(model: Model) -> tuple[Any, int | None]:
    """Parse a file; of a foreign one, check that it is a self-contained model of the signature that it should have.

    Returns:
        The `ModelProto`, and the batch size of a foreign file where that is fixed.

    Raises:
        ModelRefused: it is no such file.
    """
    proto = self_contained(model.content)
    if not model.foreign:
        return proto, model.batch
    check(proto)
    return proto, _checked_batch(proto.graph, model.signature)


def self_contained(content: bytes) -> Any:
    """Parse a file into a `ModelProto`; raise ModelRefused where it is none, or keeps weights in other files."""
    import onnx

    with _refusal():
        proto = onnx.load_model_from_string(content)
    if _external(proto):
        raise ModelRefused("it keeps its weights in other files: export it in one (external_data=False)")
    return proto


def check(proto: Any) -> None:
    """Raise ModelRefused where a model is not what the standard wants."""
    import onnx

    with _refusal():
        onnx.checker.check_model(proto, full_check=True)


def image_of(graph: Any) -> Any:
    """Return the one input of a graph that is no weight: before IR version 4, files list their weights as inputs too.

    Raises:
        ModelRefused: there is none, or there are several.
    """
    inputs = inputs_of(graph)
    if len(inputs) != 1:
        found = described(inputs) or "nothing"
        raise ModelRefused(f"it takes {found}: a model of one input is needed, the image")
    return inputs[0]


def inputs_of(graph: Any) -> list[Any]:
    """Return the inputs of a graph that are no weights."""
    weights = {weight.name for weight in graph.initializer}
    weights |= {weight.values.name for weight in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in weights]


def described(values: Iterable[Any]) -> str:
    """Write values of a graph for people: `image float32 (n, 1, 28, 28)`; sizes that are free by their names."""
    return ", ".join(f"{value.name} {_type_of(value)}" for value in values)


def _type_of(value: Any) -> str:
    """Write the type of a value, and its shape as far as that is known."""
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return (kind or "of no type").removesuffix("_type")
    tensor = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower().replace("double", "float64")
    name = "float32" if name == "float" else name
    if not tensor.HasField("shape"):
        return f"{name} of any shape"
    sizes = [str(size.dim_value) if size.HasField("dim_value") else size.dim_param or "?" for size in tensor.shape.dim]
    return f"{name} ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def may_point_elsewhere(content: bytes) -> bool:
    """Tell whether a file may keep tensors in other files, which it names as their `location`; without parsing it."""
    return b"location" in content


@contextlib.contextmanager
def _refusal() -> Iterator[None]:
    """Turn whatever a parser or a checker raises into a refusal in one line."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ModelRefused(f"it is not a valid ONNX model: {str(error).strip() or type(error).__name__}") from error


def _external(message: Any) -> bool:
    """Tell whether any tensor, however deep within a protobuf message, is kept in another file."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        return bool(message.data_location == onnx.TensorProto.EXTERNAL)
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if hasattr(value, "__len__") else [value]
            if any(_external(part) for part in parts):
                return True
    return False


def _checked_batch(graph: Any, signature: "Signature | None") -> int | None:
    """Return the batch size, where it is fixed; refuse another signature than ours, or than the one that was found."""
    inputs = inputs_of(graph)
    outputs = [
        value for value in graph.output if not (signature and signature.output) or value.name == signature.output
    ]
    shapes = [sizes_of(value) for value in (*inputs, *outputs)]
    first = [shape[0] for shape in shapes if shape and shape[0] is not None]
    fits = _is_ours if signature is None else functools.partial(_fits, signature)
    if any(size < 1 for size in first) or len(inputs) != 1 or len(outputs) != 1 or not fits(inputs[0], outputs[0]):
        found = described((*inputs, *graph.output))
        wanted = signature and f"images of {signature.dtype} {('n', *signature.shape)}".replace("'", "")
        wanted = wanted or "float32 (n, 1, 28, 28) to float32 (n, 10)"
        raise ModelRefused(f"it has another signature ({found}): {wanted} is needed")
    told = shapes[0][0] if shapes[0] else None
    return told or (signature.batch if signature else None)  # which may have been found out


def _is_ours(image: Any, answer: Any) -> bool:
    kinds = {value.type.tensor_type.elem_type for value in (image, answer)}
    shapes = [sizes_of(image), sizes_of(answer)]
    return kinds == {FLOAT} and all(shapes) and [shape[1:] for shape in shapes] == SIGNATURE


def _fits(signature: "Signature", image: Any, _answer: Any) -> bool:
    """Tell whether a graph takes images of a signature; sizes that it leaves open fit any."""
    import onnx

    sizes = sizes_of(image)[1:]
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(signature.dtype))
    open_rank = not image.type.tensor_type.HasField("shape")
    same = len(sizes) == len(signature.shape) and all(
        size in (None, wanted) for size, wanted in zip(sizes, signature.shape, strict=True)
    )
    return image.type.tensor_type.elem_type == kind and (open_rank or same)


def sizes_of(value: Any) -> list[int | None]:
    """Return the sizes of a tensor of a graph, None for those that are open."""
    return [size.dim_value if size.HasField("dim_value") else None for size in value.type.tensor_type.shape.dim]


def sums_in_half(graph: Any) -> bool:
    """Tell whether any matrix product of an optimised graph is one of float16: others may have been cast to float32."""
    import onnx

    half = {weight.name for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16}
    return any(half.intersection(node.input) for node in graph.node if node.op_type in PRODUCTS)


def pair_sums(graph: Any) -> PairSums | None:
    """Return what a graph's int8 products can come to where they are added in pairs; None where it has none.

    x86 processors without VNNI multiply bytes by VPMADDUBSW (Intel SDM, volume 2C): unsigned activations by signed
    weights, the products of inputs 2j and 2j + 1 added to a 16-bit sum that saturates. Signed activations are made
    unsigned first, so that all take values of up to 255.
    """
    sums = [largest_pair_sums(weight) for weight in _int8_weights(graph)]
    if not sums:
        return None
    return PairSums(
        largest=max(int(found.max(initial=0)) for found in sums),
        beyond=sum(int((found > LARGEST_INT16).sum()) for found in sums),
        pairs=sum(found.size for found in sums),
    )


def largest_pair_sums(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, of weights (units, inputs), the largest magnitude of each pair's sum: (units, pairs).

    Activations are never negative: the worst case takes the weights of one sign alone.
    """
    even = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2)))
    first, second = even[:, 0::2], even[:, 1::2]
    positive = np.maximum(first, 0) + np.maximum(second, 0)
    negative = np.maximum(-first, 0) + np.maximum(-second, 0)
    return np.asarray(LARGEST_BYTE * np.maximum(positive, negative), np.int64)


def _int8_weights(graph: Any) -> Iterator[NDArray[np.int64]]:
    """Yield the weights of products whose activations are int8 too, as signed integers (units, inputs)."""
    from onnx import helper, numpy_helper

    stored = {weight.name: weight for weight in graph.initializer}
    source = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        tensor = stored.get(_quantised_weight(node, source) or "")
        if tensor is None or len(tensor.dims) != 2:  # noqa: PLR2004 a matrix
            continue
        values = numpy_helper.to_array(tensor)
        if values.dtype not in (np.int8, np.uint8):
            continue
        signed = values.astype(np.int64) - (MIDDLE_BYTE if values.dtype == np.uint8 else 0)
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        yield signed if attributes.get("transB") else signed.T


def _quantised_weight(node: Any, source: dict[str, Any]) -> str | None:
    """Return the name of the tensor that holds a product's quantised weights; None for what multiplies no integers."""
    if node.op_type in INTEGER_PRODUCTS:
        return str(node.input[1])
    if node.op_type in QUANTISED_PRODUCTS:
        return str(node.input[QUANTISED_WEIGHT])
    operands = [source.get(name) for name in node.input[:2]]
    if node.op_type in PRODUCTS and all(one is not None and one.op_type == "DequantizeLinear" for one in operands):
        return str(operands[1].input[0])  # type: ignore[union-attr]
    return None


def showing_layers(model: Model) -> tuple[Any, list[str]]:
    """Return a model whose outputs are the values of its layers, from first to last, and the layers' names.

    Raises:
        Unsupported: it is no chain of dense layers and activations.
    """
    import onnx

    proto = parsed(model)[0]
    found = _layer_values(proto.graph)
    names = layer_names([kind for _, kind in found])
    del proto.graph.output[:]
    # An output without a type has the one that is inferred; after a Cast the last layer is not the output itself.
    proto.graph.output.extend(onnx.ValueInfoProto(name=value) for value, _ in found)
    return proto, names


def _layer_values(graph: Any) -> list[tuple[str, str]]:
    """Follow a graph from its image to its logits; return the names of its layers' values, with their kinds."""
    at = image_of(graph).name
    found: list[tuple[str, str]] = []
    for _ in graph.node:  # no chain is longer
        readers = [node for node in graph.node if at in node.input]
        if len(readers) != 1 or readers[0].op_type not in LAYER_KINDS:
            what = f"a node {readers[0].op_type}" if len(readers) == 1 else f"{len(readers)} nodes that read {at}"
            raise Unsupported(f"its layers cannot be told apart: it has {what}")
        (node,) = readers
        at, kind = node.output[0], LAYER_KINDS[node.op_type]
        if node.op_type == "Add" and found and found[-1][1] == DENSE:
            found.pop()  # a product without its bias is no layer
        if kind:
            found.append((at, kind))
        if at == graph.output[0].name:
            return found
    raise Unsupported("its layers cannot be told apart: its graph has no way from the image to the logits")
