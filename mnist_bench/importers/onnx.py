"""ONNX: a graph, which tells what it takes, what it gives and what it computes."""

from typing import Any

from msgspec.structs import replace

from mnist_bench.core import onnx_stamp, text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.importers import _graph, _network, _recognise, _signature
from mnist_bench.importers._contract import Found, Given, Request
from mnist_bench.importers._graph import View
from mnist_bench.importers._signature import Answer
from mnist_bench.runtimes import _onnx_graph as graphs
from mnist_bench.runtimes import effective_precision
from mnist_bench.runtimes._onnx_precision import FLOAT_PRODUCTS

WHAT, PROGRAM = "an ONNX model", False
FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""The fields of a `ModelProto`, and how protobuf writes each: 0 is a number, 2 bytes with their length before them."""
FIRST, GRAPH, BYTES = b"\x08", 7, 2
"""A model begins with its IR version; that makes one that breaks off a model all the same."""
DRAWN = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
ONE_ALONE = "it declares any batch size, but works on one image at a time only: the size is a constant somewhere in it"
LONGEST_NUMBER, MOST_FIELDS = 10, 100_000


def recognises(given: Given) -> bool:
    """See `Importer`: walk over the fields of the outermost message alone."""
    content, at, fields = given.content, 0, set()
    for _ in range(MOST_FIELDS):
        if at >= len(content):
            break
        head, at = _number(content, at)
        field, form = head >> 3, head & 7
        if FIELDS.get(field) != form or at < 0:
            return False
        size, at = _number(content, at)
        if at < 0:
            return False
        at += size if form == BYTES else 0
        fields.add(field)
    if at > len(content) and content.startswith(FIRST):
        raise ModelRefused(
            f"is an ONNX model of which {at - len(content):,} bytes or more are missing: download it again"
        )
    return GRAPH in fields and at == len(content)


def _number(content: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, least first; return it, and where it ends; -1 where it is none."""
    value = 0
    for place, byte in enumerate(content[at : at + LONGEST_NUMBER]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 the highest bit says that another byte follows
            return value, at + place + 1
    return 0, -1


def read(request: Request) -> Found:
    """Tell what a graph wants and gives, and whether it is the specified network's.

    Raises:
        ModelRefused: it is no valid model, or takes or gives something else.
    """
    return examined(request.content, request)


def examined(content: bytes, request: Request, *, checked: bool = True) -> Found:
    """Look at an ONNX file's content; see `read`.

    Args:
        content: of the file.
        request: where files are written, and which output was told.
        checked: whether the standard's checker must find nothing; it does not know what ONNX Runtime writes for itself.
    """
    original = graphs.self_contained(content)
    proto = type(original)()
    proto.CopyFrom(original)
    image, signature, told = _signature.image_signature(proto)
    notes = [*told, *onnx_stamp.told(content)]
    _signature.check_opset(proto)
    if untold := _signature.tell_shapes(original, proto):  # no runtime's checker takes that
        original, content = proto, proto.SerializeToString()
        notes.append(f"it tells no shape of {untold}, which was written into the graph")
    if checked:
        graphs.check(proto)  # with the sizes that it lacks: the checker wants some
    proto = _signature.check_sizes(proto)
    answer = _signature.answer_of(proto.graph, request.output, request.classes)
    kept = _graph.cut(original, answer.name, _value(proto, answer)) if answer.behind else original
    graph_file = request.write_graph(kept.SerializeToString() if answer.behind else content)
    precision = effective_precision(original.graph)
    notes += [*([answer.note] if answer.note else []), *_kept_in_half(proto, precision)]
    ending, logits = _recognise.ending_of(View.of(proto.graph), answer.name)
    found = Found(
        kind="onnx",
        specified=False,
        ending=ending,
        signature=_signature.with_answer(signature, proto.graph, answer),
        precision=precision,
        classes=answer.classes,
        producer=text.reason(f"{original.producer_name} {original.producer_version}".strip()),
        notes=tuple(notes),
        graph_file=graph_file,
        opens=_not_standard(kept),
        random=_random(kept),
    )
    return _told(found, proto, image, answer.name, logits, request)


def _kept_in_half(proto: Any, precision: str) -> tuple[str, ...]:
    """Say where the products of weights that are kept in half precision are all float32's; of inferred types."""
    from onnx import TensorProto

    types = {value.name: value.type.tensor_type.elem_type for value in (*proto.graph.value_info, *proto.graph.output)}
    made = [types.get(node.output[0]) for node in proto.graph.node if node.op_type in FLOAT_PRODUCTS]
    if precision not in ("fp16", "bf16") or set(made) != {TensorProto.FLOAT}:
        return ()
    return (f"its weights are kept in {precision}, and cast to float32 before anything is computed with them",)


def _told(found: Found, proto: Any, image: str, answer: str, logits: str, request: Request) -> Found:
    """Add what is found out by asking: of a graph that is the specified network, and nothing else, its weights."""
    if found.random:
        return found
    ask = _recognise.asking(proto, image, answer)
    if _recognise.takes_one_alone(ask, found.signature):
        found = replace(found, signature=replace(found.signature, batch=1), notes=(*found.notes, ONE_ALONE))
    found = replace(found, compares=_recognise.compares(ask, found))
    recognised = _recognise.specified(proto, image, logits, found.signature, found.precision)
    if recognised is None:
        return found
    return replace(
        found,
        specified=True,
        activation=recognised.activation,
        classes=len(recognised.arrays["fc3.bias"]),
        weights_file=_network.write_weights(request, recognised.arrays),
    )


def _value(proto: Any, answer: Answer) -> Any:
    """Return the type of a value within a graph, as it was inferred; with the sizes of an answer, where it was not."""
    from onnx import TensorProto, helper

    inferred = next((value for value in proto.graph.value_info if value.name == answer.name), None)
    if inferred is not None:
        return inferred
    return helper.make_tensor_value_info(answer.name, TensorProto.FLOAT, ["n", answer.classes or "classes"])


def _not_standard(proto: Any) -> tuple[str, ...]:
    """Return the operators that are neither the standard's nor written down in the file itself."""
    own = {(function.domain, function.name) for function in proto.functions}
    used = {(node.domain, node.op_type) for node in _graph.all_nodes(proto)}
    others = {pair for pair in used - own if pair[0] not in _graph.STANDARD}
    return tuple(sorted(text.line(f"{domain}.{name}") for domain, name in others))


def _random(proto: Any) -> tuple[str, ...]:
    """Return what makes answers differ from call to call, or from batch to batch."""
    view, found = View.of(proto.graph), []
    for node in _graph.all_nodes(proto):
        what = f"{node.op_type} {text.line(node.name or ', '.join(node.output))!r}"
        if node.op_type in DRAWN:
            found.append(what)
        elif node.op_type == "Dropout" and _recognise.is_training(view, node):
            found.append(f"{what} in training mode (ONNX Runtime ignores it)")
        elif node.op_type == "BatchNormalization" and _graph.attributes(node).get("training_mode"):
            found.append(f"{what} in training mode")
    return tuple(found)
