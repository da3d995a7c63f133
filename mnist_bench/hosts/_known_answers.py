"""Whether an emulated processor computes what such a processor computes: known answers, before any other counts.

Single instructions first, on operands whose exact results this process works out; then ONNX Runtime itself, on small
graphs of integers, whose sums are exact in whatever order. Only where AVX2 is without VNNI do sums of two products of
bytes saturate at 16 bits (VPMADDUBSW; Intel SDM, volume 2C), and then all of them do.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_bench import runtimes
from mnist_bench.core.kinds import LARGEST_INT16
from mnist_bench.core.types import Check
from mnist_bench.hosts._worker import Worker

SEED = 0  # fixed: the same operands everywhere
TRIALS, WIDTH = 64, 32  # triples of operands, and their bytes
LEAST, MOST = -LARGEST_INT16 - 1, LARGEST_INT16
IMAGES, HIDDEN, CLASSES, PIXELS = 40, 64, 10, 784
"""As many images and units as kernels of every kind and their remainders take."""
SHIFT = 2.0**13
"""The unit of the static graph's results: their sums of 784 products span 2^21 or so, and bytes 2^8 of these."""

Bytes = NDArray[np.uint8]
Array = NDArray[Any]


class Instruction(NamedTuple):
    """An instruction of a family: what a processor needs for it, its operands, and their exact results."""

    name: str
    needs: str
    operands: Callable[[np.random.Generator], tuple[Array, Array, Array]]
    exact: Callable[[Array, Array, Array], Array]


def _bytes(random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return unsigned bytes and signed ones; the first trials are the extremes, whose sums saturate."""
    a, b = random.integers(0, 256, (TRIALS, WIDTH), np.uint8), random.integers(-128, 128, (TRIALS, WIDTH), np.int8)
    a[:4], b[:2], b[2:4] = 255, 127, -128
    return a, b, np.zeros((TRIALS, WIDTH // 4), np.int32)


def _signed(random: np.random.Generator) -> tuple[Array, Array, Array]:
    a, b, _ = _bytes(random)
    return a.view(np.int8), b, random.integers(-(2**20), 2**20, (TRIALS, WIDTH // 4)).astype(np.int32)


def _unsigned(random: np.random.Generator) -> tuple[Array, Array, Array]:
    a, b, c = _signed(random)
    return a.view(np.uint8), b.view(np.uint8), c


def _words(random: np.random.Generator) -> tuple[Array, Array, Array]:
    a, b = (random.integers(LEAST, MOST, (TRIALS, WIDTH // 2), np.int16) for _ in range(2))
    return a, b, np.zeros((TRIALS, WIDTH // 4), np.int32)


def _floats(random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return numbers in [1, 2) and their negated product, rounded: what is left is what fusing keeps.

    Products of 24-bit numbers and such sums have at most 49 bits: float64 holds them exactly.
    """
    a, b = (random.uniform(1, 2, (TRIALS, WIDTH // 4)).astype(np.float32) for _ in range(2))
    return a, b, -(a * b)


def _halves(random: np.random.Generator) -> tuple[Array, Array, Array]:
    a, b = (random.uniform(1, 2, (TRIALS, WIDTH // 2)).astype(np.float16) for _ in range(2))
    return a, b, -((a.astype(np.float64) * b).astype(np.float16))


def _pairs(a: Array, b: Array, _c: Array) -> Array:
    products = a.astype(np.int64) * b
    return np.asarray(products[:, 0::2] + products[:, 1::2])


def _saturated_pairs(a: Array, b: Array, c: Array) -> Array:
    return np.asarray(np.clip(_pairs(a, b, c), LEAST, MOST), np.int16)


def _dots(a: Array, b: Array, c: Array) -> Array:
    products = (a.astype(np.int64) * b).reshape(len(a), -1, 4)
    return np.asarray(products.sum(2) + c, np.int32)


def _tiles(a: Array, b: Array, c: Array) -> Array:
    """Return 2 × 8 bytes by 8 × 2, added to 2 × 2 sums, of the first 16 bytes."""
    left, right = (one[:, :16].reshape(-1, 2, 8).astype(np.int64) for one in (a, b))
    sums = np.einsum("tik,tjk->tij", left, right).reshape(len(a), 4) + c[:, :4]
    return np.asarray(sums, np.int32)


def _wrapped_products(a: Array, b: Array, c: Array) -> Array:
    sums = a[:, :8].astype(np.int64) * b[:, :8] + c.view(np.int16)[:, :8]
    return np.asarray(sums.astype(np.int16))  # the low half of a sum is what 16 bits hold


def _fused(kind: type[Any]) -> Callable[[Array, Array, Array], Array]:
    return lambda a, b, c: (a.astype(np.float64) * b + c).astype(kind)


def _apart(a: Array, b: Array, c: Array) -> Array:
    return np.asarray(a * b + c, np.float32)  # NumPy does not fuse


def _half_products(a: Array, b: Array, _c: Array) -> Array:
    return np.asarray((a.astype(np.float32) * b.astype(np.float32)).astype(np.float16))


INSTRUCTIONS = (
    Instruction("pmaddwd", "", _words, lambda a, b, c: _pairs(a, b, c).astype(np.int32)),
    Instruction("mulps, addps", "", _floats, _apart),
    Instruction("pmaddubsw", "ssse3", _bytes, _saturated_pairs),
    Instruction("vpmaddubsw", "avx2", _bytes, _saturated_pairs),
    Instruction("vfmadd213ps", "fma", _floats, _fused(np.float32)),
    Instruction("vcvtph2ps, vcvtps2ph", "f16c", _halves, _half_products),
    Instruction("smlal", "asimd", _signed, _wrapped_products),
    Instruction("fmul, fadd", "asimd", _floats, _apart),
    Instruction("fmla", "asimd", _floats, _fused(np.float32)),
    Instruction("fcvtl, fcvtn", "asimd", _halves, _half_products),
    Instruction("fmla, half", "asimdhp", _halves, _fused(np.float16)),
    Instruction("sdot", "asimddp", _signed, _dots),
    Instruction("udot", "asimddp", _unsigned, _dots),
    Instruction("smmla", "i8mm", _signed, _tiles),
)
"""128-bit registers take the first half of the operands; see `mnist_bench.worker.instructions`."""


def prove(worker: Worker) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Return a worker's instruction sets, and how it answered what is known; it is greeted as ONNX Runtime after that.

    Raises:
        Unreachable: it does not answer: an instruction may have ended it.
        RuntimeFailed: ONNX Runtime cannot compute a graph there.
    """
    there = worker.instructions()
    tried = [one for one in INSTRUCTIONS if one.name in there.known and (not one.needs or one.needs in there.features)]
    checks = [_tried(worker, one) for one in tried]
    worker.greet("onnxruntime")
    saturating = "avx2" in there.features and not {"avx_vnni", "avx512_vnni"} & set(there.features)
    return there.features, (*checks, *_graphs(worker, saturating))


def _tried(worker: Worker, one: Instruction) -> Check:
    given = one.operands(np.random.default_rng(SEED))
    expected = np.ascontiguousarray(one.exact(*given)).view(np.uint8)
    operands = np.zeros((TRIALS, 3, WIDTH), np.uint8)
    for place, operand in enumerate(given):
        raw = np.ascontiguousarray(operand).view(np.uint8)
        operands[:, place, : raw.shape[1]] = raw
    results = worker.compute(one.name, operands)
    width = WRITTEN.get(one.name, WIDTH // 2)
    wrong = (results[:, :width] != expected[:, :width]).any(1)
    return Check(name=one.name, cases=TRIALS, wrong=int(wrong.sum()))


WRITTEN = {"vpmaddubsw": 32, "vfmadd213ps": 32, "fcvtl, fcvtn": 8}
"""How many bytes an instruction writes, where that is not 16."""


def _graphs(worker: Worker, saturating: bool) -> list[Check]:
    """Let ONNX Runtime compute three graphs of integers."""
    random = np.random.default_rng(SEED)
    pixels = random.integers(0, 256, (IMAGES, PIXELS))
    pixels[:, :2] = 0, 255  # of every image: so the scale that is found at run time is 1, and the zero point 0
    first = random.integers(-127, 128, (PIXELS, CLASSES))
    dark = pixels % 4
    small = [random.integers(-2, 3, shape) for shape in ((PIXELS, HIDDEN), (HIDDEN, CLASSES))]
    exact = np.maximum(dark @ small[0], 0) @ small[1]  # below 2^24: exact in float32
    sums = _sums(pixels, first, saturating)
    return [
        _answered(worker, "ONNX Runtime, float32", _float_graph(*small), dark, lambda found: found == exact),
        _answered(worker, "ONNX Runtime, int8-dynamic", _dynamic_graph(first), pixels, lambda found: found == sums),
        _answered(
            worker,
            "ONNX Runtime, int8",
            _static_graph(first),
            pixels,
            lambda found: np.abs(SHIFT * found - np.clip(sums, -128 * SHIFT, 127 * SHIFT)) <= SHIFT / 2,
        ),
    ]


def _sums(pixels: Array, weight: Array, saturating: bool) -> Array:
    """Return the products' sums; where neighbouring pairs are added in 16 bits, with these saturated."""
    if not saturating:
        return np.asarray(pixels @ weight)
    pairs = pixels[:, 0::2, None] * weight[0::2] + pixels[:, 1::2, None] * weight[1::2]
    return np.asarray(np.clip(pairs, LEAST, MOST).sum(1))


def _answered(worker: Worker, name: str, content: bytes, pixels: Array, right: Callable[[Array], Array]) -> Check:
    """Let the worker answer a graph; every image is a case."""
    worker.open(runtimes.Model({"known.onnx": content}, "onnx", "fp32", "relu"), runtimes.Spec())
    found = worker.run(pixels.astype(np.float32).reshape(IMAGES, 1, 28, 28), IMAGES)
    good = right(found).all(1) if found.shape == (IMAGES, CLASSES) else np.zeros(IMAGES, bool)
    return Check(name=name, cases=IMAGES, wrong=int((~good).sum()))


def _float_graph(first: Array, second: Array) -> bytes:
    from onnx import helper

    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], ["before"]),
        helper.make_node("Relu", ["before"], ["after"]),
        helper.make_node("MatMul", ["after", "second"], ["logits"]),
    ]
    return _graph(nodes, {"first": first.astype(np.float32), "second": second.astype(np.float32)})


def _dynamic_graph(weight: Array) -> bytes:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("DynamicQuantizeLinear", ["flat"], ["bytes", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["bytes", "weight", "zero", "weight zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["scale", "weight scale"], ["scales"]),
        helper.make_node("Mul", ["floats", "scales"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
    ]
    values = {
        "weight": weight.astype(np.int8),
        "weight zero": np.zeros(CLASSES, np.int8),
        "weight scale": np.ones(CLASSES, np.float32),
        "bias": np.zeros(CLASSES, np.float32),
    }
    return _graph(nodes, values)


def _static_graph(weight: Array) -> bytes:
    from onnx import helper

    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("QuantizeLinear", ["flat", "one", "zero"], ["bytes"]),
        helper.make_node(
            "QLinearMatMul", ["bytes", "one", "zero", "weight", "one", "no", "unit", "middle"], ["quantised"]
        ),
        helper.make_node("DequantizeLinear", ["quantised", "one", "middle"], ["logits"]),
    ]
    values = {"weight": weight.astype(np.int8), "zero": np.uint8(0), "no": np.int8(0), "middle": np.uint8(128)}
    return _graph(nodes, values | {"one": np.float32(1), "unit": np.float32(SHIFT)})


def _graph(nodes: list[Any], values: dict[str, Any]) -> bytes:
    """Return a graph with the network's signature as an ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "known answers", [images], [logits], stored)
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())
