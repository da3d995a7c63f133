"""ONNX files: what they want, what they give, and telling the specified network among them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mnist_bench.core.errors import ModelRefused
from tests.importers import made
from tests.importers.made import mlp, model, node, value

W = made.weights()


def stored(turned: bool = False, dtype: Any = np.float32) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, (weight, bias) in enumerate(W, 1):
        found |= {f"w{number}": (weight.T if turned else weight).astype(dtype), f"b{number}": bias.astype(dtype)}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def layers(product: Callable[[str, int, str], list[onnx.NodeProto]], function: str = "Relu") -> list[onnx.NodeProto]:
    """Chain three products of a kind, from `x` to `logits`."""
    nodes: list[onnx.NodeProto] = []
    for number, (at, to) in enumerate((("x", "h1"), ("a1", "h2"), ("a2", "logits")), 1):
        nodes += product(at, number, to)
        if number < 3:
            nodes.append(node(function, [f"h{number}"], f"a{number}"))
    return nodes


def matmul_add(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    return [node("MatMul", [at, f"w{number}"], f"p{number}"), node("Add", [f"p{number}", f"b{number}"], to)]


def add_matmul(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    return [node("MatMul", [at, f"w{number}"], f"p{number}"), node("Add", [f"b{number}", f"p{number}"], to)]


def gemm(at: str, number: int, to: str, **given: Any) -> list[onnx.NodeProto]:
    return [node("Gemm", [at, f"w{number}", f"b{number}"], to, **given)]


def gemm_t(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    return gemm(at, number, to, transB=1)


def through_transpose(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    turned = node("Transpose", [f"w{number}"], f"t{number}", perm=[1, 0])
    return [turned, node("Identity", [f"t{number}"], f"i{number}"), node("MatMul", [at, f"i{number}"], f"p{number}"),
            node("Add", [f"p{number}", f"b{number}"], to)]  # fmt: skip


def constants(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    held = [node("Constant", [], f"{name}{number}", value=numpy_helper.from_array(array))
            for name, array in zip("wb", W[number - 1], strict=True)]  # fmt: skip
    return [*held, *gemm_t(at, number, to)]


def cast(at: str, number: int, to: str) -> list[onnx.NodeProto]:
    casts = [node("Cast", [f"{name}{number}"], f"{name}{number}f", to=TensorProto.FLOAT) for name in "wb"]
    return [*casts, node("Gemm", [at, f"w{number}f", f"b{number}f"], to, transB=1)]


FLAT = [node("Flatten", ["image"], "x")]
RESHAPED = [node("Reshape", ["image", "shape"], "x")]
FROM_KERAS = [node("Transpose", ["image"], "t", perm=[0, 3, 1, 2]), node("Reshape", ["t", "shape"], "x")]
SQUEEZED = [node("Squeeze", ["image", "axes"], "s"), node("Reshape", ["s", "shape"], "x")]
DROPPED = [node("Flatten", ["image"], "f"), node("Dropout", ["f"], "x")]
SHAPE = {"shape": np.array([-1, 784])}
LAYOUTS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], list[Any]]] = {
    "Gemm, transposed": (FLAT + layers(gemm_t), stored(), ["n", 1, 28, 28]),
    "Gemm": (FLAT + layers(gemm), stored(turned=True), ["n", 1, 28, 28]),
    "MatMul and Add": (RESHAPED + layers(matmul_add), stored(turned=True) | SHAPE, ["n", 28, 28]),
    "the bias first": (RESHAPED + layers(add_matmul), stored(turned=True) | SHAPE, ["n", 1, 28, 28]),
    "Transpose and Identity": (FLAT + layers(through_transpose), stored(), ["n", 1, 28, 28]),
    "Constant": (FLAT + layers(constants), {}, ["n", 1, 28, 28]),
    "the last channel": (FROM_KERAS + layers(matmul_add), stored(turned=True) | SHAPE, ["n", 28, 28, 1]),
    "Squeeze": (SQUEEZED + layers(gemm_t), stored() | SHAPE | {"axes": np.array([1])}, ["n", 1, 28, 28]),
    "Dropout": (DROPPED + layers(gemm_t), stored(), ["n", 1, 28, 28]),
    "flat": ([node("Identity", ["image"], "x"), *layers(gemm_t)], stored(), ["n", 784]),
    "float16 that is cast": (FLAT + layers(cast), stored(dtype=np.float16), ["n", 1, 28, 28]),
    "one image": (FLAT + layers(gemm_t), stored(), [1, 1, 28, 28]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_specified_network_is_known_in_any_layout(layout: str, tmp_path: Path) -> None:
    nodes, held, image = LAYOUTS[layout]
    outputs = [value("logits", [image[0], 10])]
    content = model(nodes, held, image, outputs).SerializeToString()
    found = made.read(content, tmp_path)
    assert (found.specified, found.activation, found.ending, found.classes) == (True, "relu", "logits", 10)
    assert found.signature.shape == tuple(image[1:])
    assert found.signature.batch == (image[0] if image[0] == 1 else None)
    assert (tmp_path / str(found.graph_file)).read_bytes() == content
    half = "float16" in layout
    assert found.precision == ("fp16" if half else "fp32")
    for name, array in made.weights_of(found, tmp_path).items():
        wanted = made.arrays()[name].astype(np.float16 if half else np.float32)
        np.testing.assert_array_equal(array, wanted.astype(np.float32))
    images = made.IMAGES[:1]
    np.testing.assert_allclose(made.answers(found, tmp_path, images), made.expected(images), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("last", "ending", "logits"),
    [
        ([node("Softmax", ["logits"], "answer")], "softmax", "answer"),
        ([node("LogSoftmax", ["logits"], "answer")], "log-softmax", "answer"),
        ([node("Softmax", ["logits"], "p"), node("Log", ["p"], "answer")], "log-softmax", "answer"),
        ([node("Cast", ["logits"], "d", to=TensorProto.FLOAT), node("Softmax", ["d"], "answer")], "softmax", "answer"),
    ],
)
def test_endings_are_told(last: list[onnx.NodeProto], ending: str, logits: str, tmp_path: Path) -> None:
    nodes, held = mlp("Sigmoid")
    found = made.read(model(nodes + last, held, outputs=[value("answer", ["n", 10])]).SerializeToString(), tmp_path)
    assert (found.ending, found.specified, found.activation) == (ending, True, "sigmoid")


def between(extra: list[onnx.NodeProto], **more: Any) -> bytes:
    """Put operators between the image and the first layer of the specified network, from `image` to `x`."""
    nodes, held = mlp()
    content: bytes = model(extra + nodes[1:], held | more).SerializeToString()
    return content


NOT_IT = {
    "another activation": model(*mlp("Tanh")),
    "other sizes": model(*mlp(sizes=(784, 300, 100, 10))),
    "two layers": model(*mlp(sizes=(784, 512, 10))),
}


@pytest.mark.parametrize("name", NOT_IT)
def test_other_networks_are_not_the_specified_one(name: str, tmp_path: Path) -> None:
    found = made.read(NOT_IT[name].SerializeToString(), tmp_path)
    assert (found.specified, found.weights_file, found.activation) == (False, None, None)
    assert (found.ending, found.classes) == ("logits", 10)
    assert found.graph_file


@pytest.mark.parametrize(
    "extra",
    [
        [node("Flatten", ["image"], "f"), node("Mul", ["f", "two"], "x")],
        [node("Flatten", ["image"], "f"), node("Clip", ["f", "zero", "two"], "x")],  # changes no image
        [node("Transpose", ["image"], "t", perm=[0, 1, 3, 2]), node("Flatten", ["t"], "x")],
        [
            node("Cast", ["image"], "b", to=TensorProto.UINT8),
            node("Cast", ["b"], "f", to=1),
            node("Flatten", ["f"], "x"),
        ],
    ],
    ids=["scaled", "clipped", "transposed", "in bytes"],
)
def test_what_stands_between_makes_it_another_network(extra: list[onnx.NodeProto], tmp_path: Path) -> None:
    found = made.read(between(extra, two=np.float32(2), zero=np.float32(0)), tmp_path)
    assert not found.specified


def test_recognition_is_proved_by_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_bench.importers import _recognise

    honest = _recognise.evaluated
    monkeypatch.setattr(_recognise, "evaluated", lambda *given: np.asarray(honest(*given)) * 1.001)
    assert not made.read(made.network(), tmp_path).specified


def test_activations_must_be_one_and_the_same(tmp_path: Path) -> None:
    nodes, held = mlp()
    nodes[4].op_type = "Sigmoid"
    assert [one.op_type for one in nodes] == ["Flatten", "Gemm", "Relu", "Gemm", "Sigmoid", "Gemm"]
    assert not made.read(model(nodes, held).SerializeToString(), tmp_path).specified


IMAGES: list[tuple[list[Any], str, str, tuple[int, ...], int | None]] = [
    (["n", 784], "Identity", "float32", (784,), None),
    ([None, None], "Identity", "float32", (784,), None),
    ([1, 784], "Identity", "float32", (784,), 1),
    (["n", 28, 28], "Flatten", "float32", (28, 28), None),
    (["n", "h", "w"], "Flatten", "float32", (28, 28), None),
    (["n", 28, 28, 1], "Flatten", "float32", (28, 28, 1), None),
    (["n", 1, "h", "w"], "Flatten", "float32", (1, 28, 28), None),
    ([None, None, None, None], "Flatten", "float32", (1, 28, 28), None),
    ([7, 1, 28, 28], "Flatten", "float32", (1, 28, 28), 7),
]


@pytest.mark.parametrize(("image", "first", "dtype", "shape", "batch"), IMAGES, ids=str)
def test_shapes_of_images(
    image: list[Any], first: str, dtype: str, shape: tuple[int, ...], batch: int | None, tmp_path: Path
) -> None:
    nodes, held = mlp(sizes=(784, 16, 10), first=first)
    found = made.read(model(nodes, held, image, [value("logits", [None, 10])]).SerializeToString(), tmp_path)
    assert (found.signature.shape, found.signature.dtype, found.signature.batch) == (shape, dtype, batch)
    images = np.repeat(made.IMAGES[:1], batch or 2, axis=0)
    assert made.answers(found, tmp_path, images).shape == (batch or 2, 10)


def test_an_image_without_any_shape_is_told_from_what_follows(tmp_path: Path) -> None:
    nodes, held = mlp(sizes=(784, 16, 10), first="Identity")
    proto = model(nodes, held)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    found = made.read(proto.SerializeToString(), tmp_path)
    assert found.signature.shape == (784,)
    assert found.notes == ("it tells no shape of its image, which was written into the graph",)
    onnx.checker.check_model(onnx.load(tmp_path / str(found.graph_file)), full_check=True)


@pytest.mark.parametrize(
    ("kind", "dtype", "pixels"),
    [
        (TensorProto.UINT8, "uint8", "bytes"),
        (TensorProto.DOUBLE, "float64", "unit"),
        (TensorProto.FLOAT16, "float16", "unit"),
    ],
)
def test_types_of_pixels(kind: int, dtype: str, pixels: str, tmp_path: Path) -> None:
    nodes, held = mlp(sizes=(784, 16, 10))
    nodes[0] = node("Flatten", ["f"], "x")
    nodes.insert(0, node("Cast", ["image"], "f", to=TensorProto.FLOAT))
    found = made.read(model(nodes, held, kind=kind).SerializeToString(), tmp_path)
    assert (found.signature.dtype, found.signature.pixels) == (dtype, pixels)
    assert made.answers(found, tmp_path, made.IMAGES).shape == (3, 10)


@pytest.mark.parametrize(
    ("scaling", "pixels"),
    [
        (("Div", ["f", "c"], 255.0), "bytes"),
        (("Mul", ["c", "f"], 1 / 255), "bytes"),
        (("Div", ["f", "c"], 0.5), "unit"),
        (("Sub", ["f", "c"], 255.0), "unit"),
    ],
)
def test_a_graph_that_divides_by_255_takes_bytes(
    scaling: tuple[str, list[str], float], pixels: str, tmp_path: Path
) -> None:
    operator, reads, by = scaling
    nodes, held = mlp(sizes=(784, 16, 10))
    extra = [node("Flatten", ["image"], "f"), node(operator, reads, "x")]
    found = made.read(model(extra + nodes[1:], held | {"c": np.float32(by)}).SerializeToString(), tmp_path)
    assert found.signature.pixels == pixels


def two_inputs() -> onnx.ModelProto:
    nodes, held = mlp()
    proto = model(
        [*nodes[:-1], node("Add", ["a2", "more"], "s"), node("Gemm", ["s", "w3", "b3"], "logits", transB=1)], held
    )
    proto.graph.input.append(value("more", ["n", 256]))
    return proto


def of_shape(shape: list[Any], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a graph that takes whatever it is given."""
    nodes = [node("Cast", ["image"], "f", to=1), node("ReduceMean", ["f"], "m"), node("Mul", ["m", "w"], "logits")]
    return model(nodes, {"w": np.ones((1, 10), np.float32)}, shape, [value("logits", None)], kind=kind)


def outputs(*values: onnx.ValueInfoProto) -> onnx.ModelProto:
    nodes, held = mlp()
    nodes += [
        node("ArgMax", ["logits"], "label", axis=1, keepdims=0),
        node("Softmax", ["logits"], "probabilities"),
        node("Identity", ["h2"], "features"),
    ]
    return model(nodes, held, outputs=list(values))


LOGITS, LABEL = value("logits", ["n", 10]), value("label", ["n"], TensorProto.INT64)
PROBABILITIES, FEATURES = value("probabilities", ["n", 10]), value("features", ["n", 256])

REFUSED = {
    "two inputs": (two_inputs(), r"its inputs are image float32 \(n, 1, 28, 28\), more float32 \(n, 256\)"),
    "photographs": (
        of_shape(["n", 3, 224, 224], TensorProto.FLOAT16),
        r"it takes image float16 \(n, 3, 224, 224\): images .* are needed",
    ),
    "colours": (of_shape(["n", 3, 28, 28]), r"image float32 \(n, 3, 28, 28\)"),
    "integers": (of_shape(["n", 784], TensorProto.INT64), r"image int64 \(n, 784\)"),
    "no batch": (of_shape([784]), r"image float32 \(784,\): one image without a batch"),
    "no batch of rows": (of_shape([28, 28]), r"image float32 \(28, 28\): one image without a batch"),
    "nothing": (of_shape([]), r"image float32 \(\)"),
    "labels alone": (outputs(LABEL), r"it gives label int64 \(n,\): logits or probabilities are needed"),
    "two answers": (outputs(LOGITS, PROBABILITIES), "choose by --output, from logits, probabilities"),
    "no shape that tells": (of_shape(["a", "b", "c", "d", "e"]), "image float32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_or_gives_something_else_is_refused(name: str, tmp_path: Path) -> None:
    proto, said = REFUSED[name]
    with pytest.raises(ModelRefused, match=said):
        made.read(proto.SerializeToString(), tmp_path)


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    found = made.read(made.network(listed=True, ir_version=3), tmp_path)
    assert found.specified
    assert found.notes == ("the image is input 'image': the other 6 are weights",)


def test_of_several_outputs_the_answer_is_the_one_that_can_be(tmp_path: Path) -> None:
    found = made.read(outputs(LABEL, PROBABILITIES).SerializeToString(), tmp_path)
    assert (found.signature.output, found.ending, found.specified) == ("probabilities", "softmax", True)
    assert found.notes == ("the answer is output 'probabilities', one of 2",)
    assert made.answers(found, tmp_path, made.IMAGES).shape == (3, 10)


def test_an_output_can_be_named(tmp_path: Path) -> None:
    content = outputs(LOGITS, PROBABILITIES).SerializeToString()
    assert made.read(content, tmp_path, "logits").ending == "logits"
    assert made.read(content, tmp_path, "probabilities").ending == "softmax"
    with pytest.raises(ModelRefused, match=r"no output 'x', but logits float32 \(n, 10\), probabilities"):
        made.read(content, tmp_path, "x")


def test_maps_of_probabilities_are_looked_behind(tmp_path: Path) -> None:
    """As skl2onnx writes a classifier: labels, and a map from label to probability for each image."""
    nodes, held = mlp()
    nodes += [node("Softmax", ["logits"], "p"), node("ArgMax", ["logits"], "label", axis=1, keepdims=0)]
    nodes.append(node("ZipMap", ["p"], "maps", domain="ai.onnx.ml", classlabels_int64s=list(range(10))))
    maps = onnx.ValueInfoProto(name="maps")
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    maps.type.CopyFrom(helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, inner)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    content = model(nodes, held, outputs=[LABEL, maps], opset_imports=opsets).SerializeToString()
    found = made.read(content, tmp_path)
    assert found.notes == ("output 'maps' gives maps: the probabilities are what they are made of",)
    assert (found.ending, found.classes, found.specified, found.opens) == ("softmax", 10, True, ())
    probabilities = made.answers(found, tmp_path, made.IMAGES)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("answer", [value("logits", None), onnx.ValueInfoProto(name="logits")], ids=["shape", "type"])
def test_an_answer_that_tells_no_shape_gets_one(answer: onnx.ValueInfoProto, tmp_path: Path) -> None:
    nodes, held = mlp()
    found = made.read(model(nodes, held, outputs=[answer]).SerializeToString(), tmp_path)
    assert (found.specified, found.classes) == (True, 10)
    assert "it tells no shape of its answer, which was written into the graph" in found.notes
    onnx.checker.check_model(onnx.load(tmp_path / str(found.graph_file)), full_check=True)


def test_a_batch_that_is_a_constant_somewhere_is_found_out(tmp_path: Path) -> None:
    nodes, held = mlp()
    for count, told in ((1, True), (-1, False)):
        flat = node("Reshape", ["image", "sizes"], "x")
        proto = model([flat, *nodes[1:]], held | {"sizes": np.array([count, 784])})
        found = made.read(proto.SerializeToString(), tmp_path)
        assert found.specified
        assert found.signature.batch == (1 if told else None)
        assert any("works on one image at a time only" in note for note in found.notes) == told


def test_an_answer_of_classes_by_images_is_refused(tmp_path: Path) -> None:
    nodes, held = mlp()
    nodes[-1].output[0] = "sums"
    proto = model([*nodes, node("Transpose", ["sums"], "logits")], held, outputs=[value("logits", [10, "n"])])
    with pytest.raises(ModelRefused, match="classes before images: transpose it"):
        made.read(proto.SerializeToString(), tmp_path)
    beside = [*nodes, node("Transpose", ["sums"], "turned"), node("Identity", ["sums"], "logits")]
    outputs = [value("turned", [10, "n"]), value("logits", ["n", 10])]
    found = made.read(model(beside, held, outputs=outputs).SerializeToString(), tmp_path, "logits")
    assert found.signature.output == "logits"  # the others may be as they like


def test_operators_newer_than_what_is_known_here_are_refused(tmp_path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    for opset, refused in ((newest, False), (newest + 1, True)):
        nodes, held = mlp()
        content = model(nodes, held, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()
        with pytest.raises(ModelRefused, match=f"has opset {opset}") if refused else contextlib.nullcontext():
            made.read(content, tmp_path)


DROPPING = "Dropout 'drop' in training mode (ONNX Runtime ignores it)"


@pytest.mark.parametrize("batch", ["n", 3, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_answers_that_depend_on_the_others_of_a_batch_are_told(axis: int, batch: str | int, tmp_path: Path) -> None:
    nodes, held = mlp()
    nodes[-1].output[0] = "sums"
    image: Any = [batch, 1, 28, 28]
    ending = [node("Softmax", ["sums"], "logits", axis=axis)]
    proto = model([*nodes, *ending], held, image, [value("logits", [batch, 10])])
    assert made.read(proto.SerializeToString(), tmp_path).compares == (axis == 0 and batch != 1)


@pytest.mark.parametrize(("kind", "told"), [(TensorProto.FLOAT16, False), (TensorProto.FLOAT, True)])
def test_weights_that_are_only_kept_in_half_precision_are_told(kind: int, told: bool, tmp_path: Path) -> None:
    held = {"w": np.ones((784, 10), np.float16), "b": np.arange(10, dtype=np.float16)}
    flat = node("Flatten", ["image"], "x")
    cast = [node("Cast", [name], f"{name}.cast", to=TensorProto.FLOAT) for name in held]
    names = [f"{name}.cast" if told else name for name in held]
    proto = model(
        [flat, *(cast if told else []), node("Gemm", ["x", *names], "logits")],
        held,
        outputs=[value("logits", ["n", 10], kind)],
        kind=kind,
    )
    found = made.read(proto.SerializeToString(), tmp_path)
    assert found.precision == "fp16"
    assert any("kept in fp16, and cast to float32" in note for note in found.notes) == told


def test_what_is_random_is_told(tmp_path: Path) -> None:
    nodes, held = mlp()
    nodes[0] = node("Flatten", ["image"], "f")
    noisy = [node("RandomNormalLike", ["f"], "r", name="noise"), node("Add", ["f", "r"], "x")]
    found = made.read(model([nodes[0], *noisy, *nodes[1:]], held).SerializeToString(), tmp_path)
    assert found.random == ("RandomNormalLike 'noise'",)
    dropping = [node("Dropout", ["f", "", "on"], "x", name="drop")]
    for on in (True, False):
        proto = model([nodes[0], *dropping, *nodes[1:]], held | {"on": np.array(on)})
        found = made.read(proto.SerializeToString(), tmp_path)
        assert found.random == ((DROPPING,) if on else ())
        assert found.specified is not on


def test_operators_that_are_not_standard_are_told(tmp_path: Path) -> None:
    nodes, held = mlp()
    for place in (1, 3):
        nodes[place] = node("FusedGemm", list(nodes[place].input), nodes[place + 1].output[0], domain="com.microsoft",
                            transB=1, activation="Relu")  # fmt: skip
    fused = [nodes[0], nodes[1], nodes[3], nodes[5]]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    found = made.read(model(fused, held, opset_imports=opsets).SerializeToString(), tmp_path)
    assert found.opens == ("com.microsoft.FusedGemm",)
    assert found.specified


def test_a_convnet_has_a_signature_and_a_graph(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    held = {"k": numbers.normal(size=(4, 1, 5, 5)), "w": numbers.normal(size=(10, 4 * 24 * 24))}
    nodes = [node("Conv", ["image", "k"], "c"), node("Relu", ["c"], "r"), node("Flatten", ["r"], "f"),
             node("Gemm", ["f", "w"], "logits", transB=1)]  # fmt: skip
    proto = model(nodes, {name: one.astype(np.float32) for name, one in held.items()}, ["n", None, None, None])
    found = made.read(proto.SerializeToString(), tmp_path)
    assert (found.specified, found.signature.shape, found.precision, found.ending) == (
        False,
        (1, 28, 28),
        "fp32",
        "logits",
    )
    assert found.producer == "made"


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    onnx.save(model(*mlp()), tmp_path / "e.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ModelRefused, match="keeps its weights in other files: export it in one"):
        made.read((tmp_path / "e.onnx").read_bytes(), tmp_path)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    nodes, held = mlp()
    held["w2"][0, 0] = np.nan
    with pytest.raises(ModelRefused, match="not finite"):
        made.read(model(nodes, held).SerializeToString(), tmp_path)


def test_graphs_in_circles_and_deep_ones_end(tmp_path: Path) -> None:
    nodes, held = mlp()
    deep = [node("Identity", ["x" if not place else f"i{place}"], f"i{place + 1}") for place in range(1000)]
    nodes[1] = node("Gemm", ["i1000", "w1", "b1"], "h1", transB=1)
    found = made.read(model([nodes[0], *deep, *nodes[1:]], held).SerializeToString(), tmp_path)
    assert not found.specified
    circle = [node("Relu", ["b"], "a"), node("Relu", ["a"], "b"), node("Gemm", ["b", "w3"], "logits", transB=1)]
    with pytest.raises(ModelRefused, match="is not a valid ONNX model"):
        made.read(model(circle, held).SerializeToString(), tmp_path)


def test_our_own_files_are_read(light: Path, tmp_path: Path) -> None:
    from mnist_bench import store

    record = store.load_record(light)
    assert record.checkpoint
    own = store.load_weights(light, record.checkpoint.weights)
    for name, precision, specified in [
        ("model.onnx", "fp32", True),
        ("model-fp16.onnx", "fp16", True),
        ("model-int8.onnx", "int8", False),
        ("model-int8-dynamic.onnx", "int8-dynamic", False),
    ]:
        found = made.read((light / name).read_bytes(), tmp_path)
        assert (found.precision, found.specified, found.signature.is_ours) == (precision, specified, True), name
        assert found.ending == "logits"
        if name == "model.onnx":
            for key, array in made.weights_of(found, tmp_path).items():
                np.testing.assert_array_equal(array, own[key])
