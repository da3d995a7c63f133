"""What an ONNX graph takes and gives: which input is the image, which output the answer, and what they look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from msgspec.structs import replace

from mnist_bench.core import text
from mnist_bench.core.architecture import PIXELS
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import OUR_SHAPE, AnswerType, Signature
from mnist_bench.importers import _graph
from mnist_bench.importers._graph import View, attributes
from mnist_bench.runtimes import _onnx_graph as graphs

Size = int | None
PixelType = Literal["float32", "float64", "float16", "uint8"]
SIDE = 28
FLAT, IN_ROWS, LAST_CHANNEL = (PIXELS,), (SIDE, SIDE), (SIDE, SIDE, 1)
WHAT_IS_TAKEN = "images (n, 784), (n, 28, 28), (n, 28, 28, 1) or (n, 1, 28, 28) of float32, float64, float16 or uint8"
PASSED = ("Identity", "Cast", "Div", "Mul", "Sub", "Add", "QuantizeLinear", "DequantizeLinear")
"""What changes no shape on the way to the operator that tells one."""
BYTE_SCALES = (255.0, 256.0)
NEARLY = 1e-3
ANSWER_SIZES, LEAST_CLASSES = 2, 2
OF_CLASSES = ("sequence_type", "map_type")


@dataclass(frozen=True)
class Answer:
    """The value that is the answer, its number of classes where that is told, and what was chosen for it.

    `behind` is a value within the graph that is to be its output instead, since the one that it has is no tensor.
    """

    name: str
    classes: int | None
    note: str | None = None
    behind: bool = False


def image_signature(proto: Any) -> tuple[str, Signature, tuple[str, ...]]:
    """Return the name of a graph's image, its signature, and notes; the proto's image gets the sizes that it lacks.

    Raises:
        ModelRefused: it takes something else.
    """
    image = _image(proto)
    view = View.of(proto.graph)
    shape, batch = _shape(image, view)
    signature = Signature(shape=shape, dtype=_pixel_type(image), batch=batch)
    notes = []
    listed = len(proto.graph.input) - len(graphs.inputs_of(proto.graph))
    if listed:
        notes.append(f"the image is input {text.line(image.name)!r}: the other {listed} are weights")
    if signature.dtype == "uint8" or _divides(view, image.name):
        signature = replace(signature, pixels="bytes")
    _fix(image, batch, shape)
    return image.name, signature, tuple(notes)


def _image(proto: Any) -> Any:
    inputs = graphs.inputs_of(proto.graph)
    if len(inputs) != 1:
        found = text.reason(graphs.described(inputs)) or "nothing"
        raise ModelRefused(f"its inputs are {found}: a model with one, the image, is needed")
    return inputs[0]


def _refused(image: Any, why: str) -> ModelRefused:
    return ModelRefused(f"it takes {text.reason(graphs.described([image]))}: {why}{WHAT_IS_TAKEN} are needed")


def _pixel_type(image: Any) -> PixelType:
    from onnx import TensorProto

    known: dict[int, PixelType] = {
        TensorProto.FLOAT: "float32",
        TensorProto.DOUBLE: "float64",
        TensorProto.FLOAT16: "float16",
        TensorProto.UINT8: "uint8",
    }
    kind = known.get(image.type.tensor_type.elem_type)
    if kind is None:
        raise _refused(image, "")
    return kind


def _shape(image: Any, view: View) -> tuple[tuple[int, ...], Size]:
    """Return the shape of one image, and the batch size where that is fixed."""
    if not image.type.tensor_type.HasField("shape"):
        return _followed(image, view), None
    batch, *sizes = graphs.sizes_of(image) or [None]
    known = [size for size in (batch, *sizes) if size is not None]
    if any(size < 1 for size in known):
        raise _refused(image, "a size below 1; ")
    if _is_without_batch(batch, sizes):
        raise _refused(image, "one image without a batch; ")
    shape = _filled(sizes, image, view)
    if shape is None:
        raise _refused(image, "")
    return shape, batch


def _is_without_batch(batch: Size, sizes: Sequence[Size]) -> bool:
    """Tell (784,), (28, 28), (28, 28, 1) and the like, whose first size is no batch."""
    whole = [batch, *sizes]
    return None not in whole and batch != 1 and is_an_image([size for size in whole if size is not None])


def is_an_image(sizes: Sequence[int]) -> bool:
    """Tell whether sizes are an image's, with as many sizes of 1 as one likes: it is read row by row all the same."""
    return tuple(size for size in sizes if size != 1) in (FLAT, IN_ROWS)


def _filled(sizes: Sequence[Size], image: Any, view: View) -> tuple[int, ...] | None:
    """Return an image's sizes with those put in that are left open; None where they are none."""
    if None not in sizes:
        found = tuple(size for size in sizes if size is not None)
        return found if is_an_image(found) else None
    candidates = [one for one in (FLAT, IN_ROWS, OUR_SHAPE, LAST_CHANNEL, (1, *FLAT)) if _may_be(sizes, one)]
    if len(candidates) > 1:
        followed = _followed(image, view, candidates)
        return followed if followed in candidates else candidates[0]
    return candidates[0] if candidates else None


def _may_be(sizes: Sequence[Size], shape: Sequence[int]) -> bool:
    return len(sizes) == len(shape) and all(size in (None, own) for size, own in zip(sizes, shape, strict=True))


def _followed(image: Any, view: View, among: Sequence[tuple[int, ...]] = ()) -> tuple[int, ...]:
    """Return the shape that the first operator on the image wants; raise ModelRefused where that does not tell."""
    node = view.first_reader(image.name, PASSED)
    wanted = None if node is None else _wanted_by(node, view)
    if wanted is None and among:
        return among[0]
    if wanted is None:
        raise _refused(image, "its shape is not told, and what follows does not tell it; ")
    return wanted


def _wanted_by(node: Any, view: View) -> tuple[int, ...] | None:
    """Return the shape of images that an operator takes; None where it takes several."""
    if node.op_type == "Conv":
        return OUR_SHAPE
    if node.op_type in ("Gemm", "MatMul"):
        weight = view.constant(node.input[1])
        return FLAT if weight is not None and PIXELS in weight.shape else None
    if node.op_type == "Transpose":
        return LAST_CHANNEL if attributes(node).get("perm") == [0, 3, 1, 2] else OUR_SHAPE
    return OUR_SHAPE if node.op_type in ("Flatten", "Reshape") else None


def _divides(view: View, image: str) -> bool:
    """Tell whether a graph itself divides the pixels by 255 before it does anything else."""
    node = view.first_reader(image, (*_graph.KEEPS, *_graph.MOVES))
    if node is None or node.op_type not in ("Div", "Mul"):
        return False
    return any(abs(_divisor(view, node) - scale) <= NEARLY * scale for scale in BYTE_SCALES)


def _divisor(view: View, node: Any) -> float:
    """Return what a node Div or Mul divides an image by; 0 where that is no one number."""
    first, second = (view.constant(name) for name in node.input)
    by = first if second is None and node.op_type == "Mul" else second
    if by is None or by.size != 1:
        return 0.0
    value = float(by.reshape(-1)[0])
    return value if node.op_type == "Div" or not value else 1 / value


def _fix(image: Any, batch: Size, shape: Sequence[int]) -> None:
    """Put the sizes of an image into a graph, so that those of what follows can be inferred."""
    free = next((size.dim_param for size in image.type.tensor_type.shape.dim[:1] if size.dim_param), "n")
    del image.type.tensor_type.shape.dim[:]
    image.type.tensor_type.shape.dim.add(**({"dim_value": batch} if batch else {"dim_param": free}))
    for size in shape:
        image.type.tensor_type.shape.dim.add(dim_value=size)


def tell_shapes(original: Any, proto: Any) -> str:
    """Write the shapes of outputs that are told nowhere into a model; return of what an original tells no shape.

    Args:
        original: as it came.
        proto: a copy, in which the image has its sizes already.

    Raises:
        ModelRefused: the sizes of its values contradict each other.
    """
    untold = [] if _has_shape(graphs.inputs_of(original.graph)[0]) else ["its image"]
    if not all(_has_shape(value) for value in proto.graph.output):
        untold.append("its answer")
        inferred = {value.name: value for value in check_sizes(proto).graph.output}
        for value in proto.graph.output:
            if not _has_shape(value):
                value.CopyFrom(inferred[value.name])
    return " and ".join(untold)


def _has_shape(value: Any) -> bool:
    """Tell whether the shape of a tensor is told; of sequences and maps none need be."""
    kind = value.type.WhichOneof("value")
    return bool(value.type.tensor_type.HasField("shape")) if kind in (None, "tensor_type") else True


def check_opset(proto: Any) -> None:
    """Raise ModelRefused for a graph of operators that are newer than those that are known here."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    opset = max((one.version for one in proto.opset_import if one.domain in _graph.STANDARD), default=0)
    if opset > newest:
        raise ModelRefused(
            f"it has opset {opset}, and ONNX here knows those up to {newest}: export it with an older one"
        )


def answer_of(graph: Any, wanted: str, classes: int | None = None) -> Answer:
    """Return which value is the answer: the only output, or the only one of several that can be.

    Args:
        graph: with the types of its outputs inferred.
        wanted: the name of the output, where one was told.
        classes: how many there are, where that is known: of several outputs it may tell.

    Raises:
        ModelRefused: there is none, there are several, or there is none of this name.
    """
    outputs = list(graph.output)
    if wanted:
        outputs = [value for value in outputs if value.name == wanted]
        if not outputs:
            raise ModelRefused(f"it has no output {wanted!r}, but {text.reason(graphs.described(graph.output))}")
    able = [value for value in outputs if _is_answer(value)]
    if len(able) > 1 and classes:
        able = [value for value in able if _classes(value) == classes] or able
    if len(able) == 1:
        return Answer(able[0].name, _classes(able[0]), _chosen(able[0].name, graph))
    if not able and (behind := _behind_maps(graph, outputs)):
        return behind
    shown = text.reason(graphs.described(outputs)) or "nothing"
    if able:
        names = ", ".join(text.line(value.name) for value in able)
        raise ModelRefused(f"any of its outputs {shown} may be the answer: choose by --output, from {names}")
    raise ModelRefused(f"it gives {shown}: logits or probabilities are needed, floats (n, classes)")


def with_answer(signature: Signature, graph: Any, answer: Answer) -> Signature:
    """Return a signature with the type of the answer, float32 where none is told, and its name, where that is needed.

    Args:
        signature: of the image.
        graph: with the types of its values inferred.
        answer: from `answer_of`.

    Raises:
        ModelRefused: its classes come before its images.
    """
    from onnx import TensorProto

    known: dict[int, AnswerType] = {TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16"}
    named_so = (value for value in (*graph.output, *graph.value_info) if value.name == answer.name)
    value = next(named_so, None)
    kind = TensorProto.FLOAT if value is None else value.type.tensor_type.elem_type
    if value is not None and signature.batch is None:
        _check_direction(value)
    named = len(graph.output) > 1 and not answer.behind
    return replace(signature, answers=known.get(kind, "float32"), output=answer.name if named else "")


def _chosen(name: str, graph: Any) -> str | None:
    if len(graph.output) == 1:
        return None
    return f"the answer is output {text.line(name)!r}, one of {len(graph.output)}"


def _check_direction(value: Any) -> None:
    """Raise ModelRefused for an answer whose classes come before its images."""
    sizes = graphs.sizes_of(value) if value.type.WhichOneof("value") == "tensor_type" else []
    if len(sizes) == ANSWER_SIZES and (sizes[0] or 0) >= LEAST_CLASSES and sizes[1] is None:
        shown = text.reason(graphs.described([value]))
        raise ModelRefused(f"it gives {shown}, classes before images: transpose it, (n, classes) are needed")


def _is_answer(value: Any) -> bool:
    """Tell whether an output can be logits or probabilities, as far as its type is told."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    kind = value.type.WhichOneof("value")
    if kind is None:
        return True
    if kind != "tensor_type" or value.type.tensor_type.elem_type not in (TensorProto.UNDEFINED, *floats):
        return False
    if not value.type.tensor_type.HasField("shape"):
        return True
    sizes = graphs.sizes_of(value)
    return len(sizes) == ANSWER_SIZES and (sizes[1] is None or sizes[1] >= LEAST_CLASSES)


def _classes(value: Any) -> int | None:
    sizes = graphs.sizes_of(value)
    return sizes[1] if len(sizes) == ANSWER_SIZES else None


def _behind_maps(graph: Any, outputs: Sequence[Any]) -> Answer | None:
    """Return the probabilities that scikit-learn's converter makes maps of: what its last node reads."""
    view = View.of(graph)
    for value in outputs:
        node = view.source.get(value.name)
        if value.type.WhichOneof("value") in OF_CLASSES and node is not None and node.op_type == "ZipMap":
            labels = next((len(held) for held in attributes(node).values() if isinstance(held, list)), None)
            note = f"output {text.line(value.name)!r} gives maps: the probabilities are what they are made of"
            return Answer(node.input[0], labels, note, behind=True)
    return None


def check_sizes(proto: Any) -> Any:
    """Return a model with the types of all its values inferred.

    Raises:
        ModelRefused: they contradict each other.
    """
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ModelRefused(f"the sizes of its values do not fit: {text.reason(str(error))}") from error
