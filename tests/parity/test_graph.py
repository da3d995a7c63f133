"""The certificate of any graph under attack: whatever a float32 runtime does, it stays within the bounds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import expit

from mnist_bench import data, parity, store
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import OURS, Signature
from mnist_bench.parity import Bounds, certify
from mnist_bench.parity import _graph as graph_module
from mnist_bench.parity._certificate import SIGMOID_FLOOR, SIGMOID_ULPS
from mnist_bench.parity._graph import Graph
from tests.parity import float32
from tests.parity.graphs import (
    DrawnChain,
    Network,
    Op,
    Way,
    alone,
    answers,
    by_onnx,
    chain,
    doubled,
    op,
    session,
    winograd,
)

RANDOM = np.random.default_rng(0)


def images(count: int, seed: int = 0, kind: str = "pixels") -> float32.F32:
    random = np.random.default_rng(seed)
    found = (random.integers(0, 256, (count, 1, 28, 28)) / np.float32(255)).astype(np.float32)
    if kind == "sparse":
        found *= random.random(found.shape) < 0.1
    elif kind == "subnormal":
        found *= np.float32(1e-38)
    return found


def n(*shape: int) -> float32.F32:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def graph_of(model: onnx.ModelProto, **signature: Any) -> Graph:
    return Graph.of(model.SerializeToString(), Signature(**signature))


def scalar(value: float) -> float32.F32:
    return np.asarray(value, np.float32)


FLAT = op("Flatten")
BN = [n(4), n(4), n(4), np.abs(n(4)) + np.float32(0.1)]


@dataclass(frozen=True)
class Case:
    """A chain of nodes, for images of some shape."""

    ops: tuple[Op, ...]
    shape: tuple[int, ...]
    opset: int


def case(*ops: Op, shape: tuple[int, ...] = (4, 14, 14), opset: int = 20) -> Case:
    return Case(ops, shape, opset)


CASES = {
    "Gemm": case(FLAT, op("Gemm", n(784, 10), n(10)), shape=(1, 28, 28)),
    "Gemm, transposed, scaled": case(
        FLAT, op("Gemm", n(10, 784), n(1, 10), transB=1, alpha=0.3, beta=2.5), shape=(784,)
    ),
    "Gemm, transposed input": case(FLAT, op("Transpose", perm=[1, 0]), op("Gemm", n(784, 3), transA=1), shape=(784,)),
    "MatMul": case(op("MatMul", n(28, 5)), shape=(1, 28, 28)),
    "MatMul from the left": case(op("MatMul", n(5, 28), "image"), shape=(1, 28, 28)),
    "MatMul of two": case(op("MatMul", "image", "image"), shape=(1, 28, 28)),
    "MatMul of many": case(op("MatMul", n(4, 14, 6))),
    "MatMul with a vector": case(op("MatMul", n(14))),
    "Add": case(op("Add", n(14))),
    "Add, from the left": case(op("Add", n(4, 1, 1), "image")),
    "Sub": case(op("Sub", n(1, 4, 1, 1))),
    "Sub, from the left": case(op("Sub", n(14, 14), "image")),
    "Sub of two": case(op("Mul", n(14)), op("Sub", "v0", "image")),
    "Mul": case(op("Mul", n(14, 1))),
    "Mul of two": case(op("Add", n(14)), op("Mul", "v0", "v0")),
    "Div": case(op("Div", n(14) + np.float32(3))),
    "Neg": case(op("Neg"), op("Add", n(14))),
    "Sum": case(op("Mul", n(14)), op("Sum", "v0", "image", n(14, 14))),
    "Max": case(op("Mul", n(14)), op("Max", "v0", "image", n(14, 14))),
    "Min": case(op("Mul", n(14)), op("Min", "v0", "image")),
    "Conv": case(op("Conv", n(5, 4, 3, 3), n(5))),
    "Conv, pads": case(op("Conv", n(5, 4, 3, 5), pads=[0, 1, 2, 3])),
    "Conv, strides": case(op("Conv", n(5, 4, 3, 3), strides=[2, 3], pads=[1, 1, 1, 1])),
    "Conv, dilations": case(op("Conv", n(5, 4, 3, 3), dilations=[2, 3])),
    "Conv, groups": case(op("Conv", n(6, 2, 3, 3), n(6), group=2)),
    "Conv, by channels": case(op("Conv", n(8, 1, 3, 3), n(8), group=4)),
    "Conv, same upper": case(op("Conv", n(5, 4, 4, 4), auto_pad="SAME_UPPER", strides=[1, 2])),
    "Conv, same lower": case(op("Conv", n(5, 4, 4, 4), auto_pad="SAME_LOWER")),
    "Conv, valid": case(op("Conv", n(5, 4, 4, 4), auto_pad="VALID")),
    "Conv of one axis": case(op("Conv", n(5, 28, 3), n(5), pads=[1, 1]), shape=(28, 28)),
    "BatchNormalization": case(op("BatchNormalization", *BN)),
    "BatchNormalization behind Conv": case(op("Conv", n(4, 4, 3, 3), n(4)), op("BatchNormalization", *BN), opset=14),
    "BatchNormalization of a vector": case(op("BatchNormalization", *BN), FLAT, shape=(4, 196), opset=15),
    "Relu": case(op("Sub", n(14)), op("Relu")),
    "LeakyRelu": case(op("Sub", n(14)), op("LeakyRelu", alpha=0.2)),
    "PRelu": case(op("Sub", n(14)), op("PRelu", n(4, 1, 1) * np.float32(3))),
    "Clip": case(op("Mul", n(14)), op("Clip", scalar(-0.1), scalar(0.2))),
    "Clip, by attributes": case(op("Mul", n(14)), op("Clip", min=-0.1, max=0.2), opset=9),
    "Clip, from below": case(op("Mul", n(14)), op("Clip", scalar(0.1))),
    "Sigmoid": case(op("Mul", n(14) * np.float32(9)), op("Sigmoid")),
    "Tanh": case(op("Mul", n(14) * np.float32(9)), op("Tanh")),
    "MaxPool": case(op("Sub", n(14)), op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])),
    "MaxPool, pads": case(op("Sub", n(14)), op("MaxPool", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 2])),
    "MaxPool, dilations": case(op("MaxPool", kernel_shape=[3, 2], dilations=[2, 3])),
    "MaxPool, ceil_mode that fits": case(op("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    "AveragePool": case(op("Sub", n(14)), op("AveragePool", kernel_shape=[3, 2], strides=[2, 2])),
    "AveragePool, pads": case(op("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    "AveragePool, with pads": case(op("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    "GlobalAveragePool": case(op("Sub", n(14)), op("GlobalAveragePool")),
    "GlobalMaxPool": case(op("Sub", n(14)), op("GlobalMaxPool")),
    "ReduceMean": case(op("ReduceMean", ints(2, -1), keepdims=0)),
    "ReduceMean, by attributes": case(op("ReduceMean", axes=[2, 3]), opset=13),
    "ReduceSum": case(op("ReduceSum", ints(1))),
    "ReduceMean of all": case(op("ReduceMean")),
    "Flatten": case(op("Sub", n(14)), op("Flatten", axis=2)),
    "Reshape": case(op("Reshape", ints(0, -1, 7))),
    "Squeeze, Unsqueeze": case(op("Squeeze", ints(1)), op("Unsqueeze", ints(3)), shape=(1, 28, 28)),
    "Squeeze, by attributes": case(op("Squeeze", axes=[1]), op("Unsqueeze", axes=[3]), shape=(1, 28, 28), opset=11),
    "Transpose": case(op("Sub", n(14)), op("Transpose", perm=[0, 2, 3, 1]), op("Add", n(4))),
    "Concat": case(op("Sub", n(14)), op("Concat", "v0", "image", axis=2)),
    "Concat with a constant": case(op("Concat", "image", n(1, 2, 14, 14), axis=1), op("Relu")),
    "Identity, Dropout": case(op("Identity"), op("Dropout")),
    "Dropout not in training": case(op("Dropout", scalar(0.5), np.array(False))),
    "Pad": case(op("Sub", n(14)), op("Pad", ints(0, 0, 1, 2, 0, 1, 0, 3), scalar(0.5))),
    "Pad, some axes": case(op("Pad", ints(1, 2), None, ints(-1))),
    "Pad, by attributes": case(op("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.25), opset=9),
    "Pad, reflected": case(op("Pad", ints(0, 0, 1, 2, 0, 0, 3, 3), mode="reflect")),
    "Slice": case(op("Slice", ints(1, 2), ints(12, 3), ints(2, 1), ints(2, 1))),
    "Gather": case(op("Sub", n(14)), op("Gather", ints(2, 0, 1), axis=1)),
    "Expand, Tile": case(op("ReduceMean", ints(3)), op("Expand", ints(1, 1, 1, 3)), op("Tile", ints(1, 2, 1, 1))),
    "DepthToSpace": case(op("DepthToSpace", blocksize=2), op("SpaceToDepth", blocksize=7)),
    "Cast": case(op("Cast", to=TensorProto.DOUBLE), op("Cast", to=TensorProto.FLOAT)),
    "a shape that is computed": case(
        op("Shape", "image"),
        op("Gather", "v0", ints(0)),
        op("Concat", "v1", ints(-1), axis=0),
        op("Reshape", "image", "v2"),
    ),
    "a constant that is computed": case(alone("Mul", n(14, 6), n(1, 6)), op("MatMul", "image", "v0")),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_evaluated_and_bounded(name: str) -> None:
    """As ONNX defines it in double; in float32 neither ONNX Runtime nor ONNX's own reference leaves the bounds."""
    case = CASES[name]
    model, pixels = chain(*case.ops, shape=case.shape, opset=case.opset), images(3)
    graph = graph_of(model, shape=case.shape)
    inputs = graph.signature.adapt(pixels)
    exact = by_onnx(doubled(model), inputs.astype(np.float64))
    bounds = graph.certify(pixels)
    np.testing.assert_allclose(bounds.logits, exact, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(graph.logits(pixels), bounds.logits)
    if name in {"MatMul with a vector"}:
        assert graph.uncovered == ("MatMul 'n0': not covered by the certificate",)
        return
    assert not graph.uncovered
    found = [by_onnx(model, inputs)]
    found += [answers(model.SerializeToString(), inputs, optimised=optimised) for optimised in (True, False)]
    for answer in found:
        assert (np.abs(answer.astype(np.float64) - bounds.logits) <= bounds.logit_bounds).all()
    assert (bounds.logit_bounds <= 1e-3 * np.abs(exact).max()).all()


def test_a_normalisation_is_that_of_training_never() -> None:
    """Before opset 14 ONNX's own reference takes it for training."""
    models = [chain(op("BatchNormalization", *BN), shape=(4, 14, 14), opset=opset) for opset in (9, 15)]
    old, new = (graph_of(model, shape=(4, 14, 14)).certify(images(3)) for model in models)
    np.testing.assert_array_equal(old.logits, new.logits)
    check(answers(models[0].SerializeToString(), images(3).reshape(3, 4, 14, 14), optimised=True), old)
    tiny = chain(op("BatchNormalization", *BN[:3], BN[3] * 0, epsilon=0.0), shape=(4, 14, 14), opset=9)
    assert graph_of(tiny, shape=(4, 14, 14)).uncovered == ("BatchNormalization 'n0': not covered by the certificate",)
    computed = chain(
        op("ReduceMean", ints(0, 2, 3), keepdims=0),
        op("BatchNormalization", "image", *BN[:2], "v0", BN[3]),
        shape=(4, 14, 14),
    )
    graph = graph_of(computed, shape=(4, 14, 14))
    assert graph.uncovered == ("BatchNormalization 'n1': not covered by the certificate",)
    found = answers(computed.SerializeToString(), images(3).reshape(3, 4, 14, 14), optimised=True)
    np.testing.assert_allclose(found, graph.logits(images(3)), rtol=1e-5, atol=1e-5)


IMAGES = 3
WAYS = st.builds(Way, st.sampled_from(list(float32.DOTS.values())), st.booleans(), st.booleans())
NETWORKS = st.builds(
    Network.drawn,
    st.sampled_from(["pooled", "normalised", "residual"]),
    st.integers(0, 2**32),
    st.sampled_from([1e-3, 0.05, 0.3, 1.0, 30.0]),
)
KINDS = st.sampled_from(["pixels", "sparse", "subnormal"])


def check(answer: NDArray[np.float32], bounds: Bounds) -> None:
    """Fail where an answer leaves its bounds, or predicts what is certified otherwise."""
    excess = np.abs(answer.astype(np.float64) - bounds.logits) - bounds.logit_bounds
    assert (excess <= 0).all(), excess.max()
    assert not ((answer.argmax(1) != bounds.predictions) & bounds.certified).any()
    winner = np.take_along_axis(answer.astype(np.float64), bounds.predictions[:, None], 1)[:, 0]
    rival = np.take_along_axis(answer.astype(np.float64), bounds.rivals[:, None], 1)[:, 0]
    assert (np.abs(winner - rival - bounds.margins) <= bounds.margin_bounds).all()


def attack(network: Network, way: Way, seed: int, kind: str) -> None:
    pixels = images(IMAGES, seed, kind)
    check(network.evaluate(pixels, way), graph_of(network.model()).certify(pixels))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(NETWORKS, WAYS, st.integers(0, 2**32), KINDS)
def test_no_order_of_summation_exceeds_the_bounds(network: Network, way: Way, seed: int, kind: str) -> None:
    attack(network, way, seed, kind)


@pytest.mark.torture
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NETWORKS, WAYS, st.integers(0, 2**32), KINDS)
def test_no_order_of_summation_exceeds_the_bounds_for_long(network: Network, way: Way, seed: int, kind: str) -> None:
    attack(network, way, seed, kind)


@pytest.mark.parametrize("kind", ["pooled", "normalised", "residual"])
def test_the_ways_are_those_of_the_graph(kind: str) -> None:
    """What attacks is the same network: its answers agree to float32 with the reference's."""
    network, pixels = Network.drawn(kind, 3, 0.3), images(3)
    exact = graph_of(network.model()).logits(pixels)
    for dot in float32.DOTS.values():
        for first, folded in ((True, False), (False, True)):
            np.testing.assert_allclose(network.evaluate(pixels, Way(dot, first, folded)), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["pooled", "normalised", "residual"])
def test_the_attack_can_succeed(kind: str) -> None:
    """A bound that is a little too small for one way is found: the attack is not blind. And no bound is vacuous."""
    network, pixels = Network.drawn(kind, 1, 0.3), images(20)
    bounds = graph_of(network.model()).certify(pixels)
    ways = [Way(dot, first, folded=True) for dot in float32.DOTS.values() for first in (True, False)]
    found = [network.evaluate(pixels, way) for way in ways]
    worst = max(found, key=lambda answer: float(np.abs(answer - bounds.logits).max()))
    ratio = float((np.abs(worst - bounds.logits) / bounds.logit_bounds).max())
    assert 1e-4 < ratio < 1
    with pytest.raises(AssertionError):
        check(worst, replace(bounds, logit_bounds=bounds.logit_bounds * ratio * 0.9))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["pooled", "normalised", "residual"])
def test_no_runtime_leaves_the_bounds(kind: str, seed: int) -> None:
    network, pixels = Network.drawn(kind, seed, 0.3), images(20, seed)
    content = network.model().SerializeToString()
    bounds = graph_of(network.model()).certify(pixels)
    assert bounds.certified.any()
    for optimised in (True, False):
        check(answers(content, pixels, optimised=optimised), bounds)
        check(answers(content, pixels, optimised=optimised, batch=20), bounds)


UP, TINY = 1 + 2.0**-24, 2.0**-30


def test_roundings_that_all_err_one_way_stay_within_the_bound_and_nearly_fill_it() -> None:
    """What no runtime does on purpose, and none would exceed: a rounding less for any operator, and this would fail."""
    tiny, small = np.full(1, TINY, np.float32), np.full((1, 1, 1), TINY, np.float32)
    model = chain(
        op("Conv", np.array([[[[1, TINY]]]], np.float32), tiny),
        op("BatchNormalization", np.full(1, 1.5, np.float32), tiny, -tiny, np.ones(1, np.float32)),
        op("Mul", np.full((1, 1, 1), 3, np.float32)),
        op("Div", np.full((1, 1, 1), 3, np.float32)),
        op("Add", small),
        FLAT,
    )
    bounds = graph_of(model).certify(np.ones((1, 1, 28, 28), np.float32))
    convolved = ((UP + TINY) * UP + TINY) * UP
    root = np.sqrt((1 + np.float64(np.float32(1e-5))) / UP) / UP
    scale = 1.5 * (UP / root) * UP
    normalised = ((convolved + TINY) * UP * scale * UP + TINY) * UP
    worst = ((normalised * 3 * UP) * (UP / 3) * UP + TINY) * UP
    filled = (worst - bounds.logits) / bounds.logit_bounds
    assert 0.85 < filled.min() <= filled.max() <= 1
    mean = graph_of(chain(op("GlobalAveragePool"), FLAT)).certify(np.ones((1, 1, 28, 28), np.float32))
    first = np.concatenate([[UP**783], UP ** np.arange(783, 0, -1.0)]).sum() * (UP / 784) * UP
    assert 0.45 < ((first - mean.logits) / mean.logit_bounds).item() <= 1  # the last numbers are rounded only once


def test_a_sum_that_begins_with_another_passes_through_the_roundings_of_both() -> None:
    """A residual connection: 20 roundings of the one sum, and 21 more where it is what the other begins with."""
    one, none = np.full((1, 1, 1, 20), TINY, np.float32), np.full((1, 1, 1, 20), TINY, np.float32)
    one[0, 0, 0, 0] = 1
    model = chain(op("Conv", one), op("Conv", none, "image"), op("Add", "v0", "v1"), FLAT)
    model.graph.node[1].input[:] = ["image", model.graph.node[1].input[0]]
    bounds = graph_of(model).certify(np.ones((1, 1, 28, 28), np.float32))
    filled = (bounds.logits * UP**40 - bounds.logits) / bounds.logit_bounds
    assert 0.9 < filled.min() <= filled.max() <= 1


FUNCTIONS: dict[str, tuple[Op, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "Relu": (op("Relu"), lambda x: np.maximum(x, 0)),
    "LeakyRelu": (op("LeakyRelu", alpha=0.25), lambda x: np.where(x < 0, x / 4, x)),
    "PRelu": (op("PRelu", scalar(-3)), lambda x: np.where(x < 0, -3 * x, x)),
    "Clip": (op("Clip", scalar(-0.125), scalar(0.25)), lambda x: np.clip(x, -0.125, 0.25)),
    "Sigmoid": (op("Sigmoid"), expit),
    "Tanh": (op("Tanh"), np.tanh),
    "Max": (op("Max", scalar(0.25)), lambda x: np.maximum(x, 0.25)),
    "MaxPool": (op("MaxPool", kernel_shape=[1, 1]), lambda x: x),
    "AveragePool": (op("AveragePool", kernel_shape=[1, 1]), lambda x: x),
    "Mul": (op("Mul", scalar(-3)), lambda x: -3 * x),
    "Div": (op("Div", scalar(-0.25)), lambda x: -4 * x),
    "BatchNormalization": (
        op("BatchNormalization", *(np.full(1, value, np.float32) for value in (3, 1, 2, 4)), epsilon=0.0),
        lambda x: (x - 2) * 1.5 + 1,
    ),
    "Sub": (op("Sub", scalar(3), "v2"), lambda x: 3 - x),
    "MatMul": (op("MatMul", -2 * np.eye(9, dtype=np.float32)), lambda x: -2 * x),
    "Conv": (op("Conv", np.full((1, 1, 1, 1), -2, np.float32)), lambda x: -2 * x),
    "Pad": (op("Pad", ints(*[0] * 8)), lambda x: x),
    "Concat": (op("Concat", np.zeros((1, 0, 9, 9), np.float32), axis=1), lambda x: x),
    "GlobalAveragePool": (op("ReduceMean", ints(1)), lambda x: x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_of_before_are_passed_on(name: str) -> None:
    """Where an operand may be anywhere in an interval, the bound reaches to both of its ends."""
    node, function = FUNCTIONS[name]
    large = op("Conv", n(1, 1, 20, 20) * np.float32(100))
    shrunk = op("Mul", scalar(1e-3))  # a thousandth of sums that cancel: errors of some size
    pixels = images(10)
    prefix = [large, shrunk, op("Max", scalar(-100))]  # no sum any more, which would be continued
    before = graph_of(chain(*prefix, FLAT)).certify(pixels)
    after = graph_of(chain(*prefix, node, FLAT)).certify(pixels)
    middle, radius = before.logits, before.logit_bounds
    assert radius.min() > 1e-5
    for end in (middle - radius, middle + radius):
        assert (np.abs(function(end) - after.logits) <= after.logit_bounds * (1 + 1e-9)).all()  # the ends are rounded


def attack_by_runtime(seed: int) -> None:
    model, pixels = chain(*DrawnChain(seed).ops), images(4, seed, ("pixels", "sparse")[seed % 2])
    bounds = graph_of(model).certify(pixels)
    for optimised in (True, False):
        check(answers(model.SerializeToString(), pixels, optimised=optimised), bounds)


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_no_runtime_leaves_the_bounds_of_random_chains(first: int) -> None:
    for seed in range(first, first + 10):
        attack_by_runtime(seed)


@pytest.mark.torture
@pytest.mark.parametrize("first", range(1000, 21_000, 100))
def test_no_runtime_leaves_the_bounds_of_random_chains_for_long(first: int) -> None:
    for seed in range(first, first + 100):
        attack_by_runtime(seed)


def test_winograd_s_algorithm_is_not_covered() -> None:
    """Its sums of pixels and of weights cancel: the assumption is needed. ONNX Runtime does not take it on a CPU."""
    weight = np.zeros((1, 1, 3, 3), np.float32)
    weight[0, 0, 0, 0] = 1
    pixels = np.full((1, 1, 28, 28), 1e-4, np.float32)
    pixels[0, 0, ::5, ::5] = 1
    model = chain(op("Conv", weight), op("Flatten"))
    bounds = graph_of(model).certify(pixels)
    with pytest.raises(AssertionError):
        check(winograd(pixels, weight).reshape(1, -1), bounds)
    np.testing.assert_allclose(winograd(pixels, weight).reshape(1, -1), bounds.logits, atol=1e-6)
    check(answers(model.SerializeToString(), pixels, optimised=True), bounds)


def torch_answer(network: Network, pixels: float32.F32) -> NDArray[np.float32]:
    """Evaluate the network with pools in torch."""
    w = {name: torch.from_numpy(array) for name, array in network.weights.items()}
    values = torch.nn.functional.conv2d(torch.from_numpy(pixels), w["w1"], w["b1"].flatten(), padding=2)
    values = torch.nn.functional.max_pool2d(torch.relu(values), 2)
    values = torch.nn.functional.conv2d(values, w["w2"], w["b2"].flatten(), padding=2)
    values = torch.nn.functional.max_pool2d(torch.relu(values), 3)
    return np.asarray((values.flatten(1) @ w["w3"] + w["b3"]).numpy())


@pytest.mark.parametrize("seed", range(3))
def test_torch_stays_within_the_bounds(seed: int) -> None:
    network, pixels = Network.drawn("pooled", seed, 0.3), images(20, seed)
    check(torch_answer(network, pixels), graph_of(network.model()).certify(pixels))


@pytest.mark.parametrize("name", ["w1", "w2", "w3", "b3"])
def test_a_changed_weight_exceeds_the_bounds(name: str) -> None:
    network, pixels = Network.drawn("pooled", 6, 0.3), images(20)
    changed = network.weights[name].copy()
    changed.ravel()[np.abs(changed).argmax()] *= np.float32(0.9)
    other = Network("pooled", network.weights | {name: changed})
    answer = answers(other.model().SerializeToString(), pixels, optimised=True)
    with pytest.raises(AssertionError):
        check(answer, graph_of(network.model()).certify(pixels))


def test_a_bias_moved_past_the_headroom_loses_the_certificate() -> None:
    network, pixels = Network.drawn("pooled", 5, 0.3), images(20)
    bounds = graph_of(network.model()).certify(pixels)
    image = int(np.flatnonzero(bounds.certified)[0])
    headroom = bounds.margins[image] - bounds.margin_bounds[image]
    for moved_by, certified in ((headroom * 0.9, True), (headroom * 1.1 + bounds.margin_bounds[image], False)):
        bias = network.weights["b3"].copy()
        bias[bounds.rivals[image]] += np.float32(moved_by)
        moved = Network("pooled", network.weights | {"b3": bias})
        found = graph_of(moved.model()).certify(pixels)
        assert (found.certified[image] and found.predictions[image] == bounds.predictions[image]) == certified


def test_the_specified_network_has_the_certificate_that_it_had(light: Path, digits: data.Dataset) -> None:
    pixels = data.to_input(digits.test.pixels)
    graph = Graph.of((light / "model.onnx").read_bytes(), OURS)
    known, found = certify(parity.weights_of(light, store.load_record(light)), pixels), graph.certify(pixels)
    np.testing.assert_allclose(found.logits, known.logits, rtol=1e-12, atol=1e-12)
    for ratio in (found.logit_bounds / known.logit_bounds, found.margin_bounds / known.margin_bounds):
        assert 1 - 1e-9 < ratio.min() <= ratio.max() < 1.1
    np.testing.assert_array_equal(found.certified, known.certified)
    np.testing.assert_array_equal(found.rivals, known.rivals)
    assert not graph.uncovered
    assert not graph.random


def test_images_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = Network.drawn("pooled", 2, 0.3).model(), images(11)
    whole = graph_of(model)
    monkeypatch.setattr(graph_module, "ELEMENTS", 4 * 28 * 28 * 25)
    parts = graph_of(model)
    assert 1 < parts.images_at_once < 11 < whole.images_at_once
    for name in ("logits", "logit_bounds", "margin_bounds", "certified"):
        np.testing.assert_allclose(
            getattr(parts.certify(pixels), name), getattr(whole.certify(pixels), name), rtol=1e-12
        )
    assert parts.certify(pixels[:0]).logits.shape == (0, 10)
    assert parts.logits(pixels[:0]).shape == (0, 10)


UNCOVERED: list[tuple[tuple[Op, ...], tuple[str, ...]]] = [
    ((FLAT, op("Gemm", n(784, 10)), op("Softmax")), ("Softmax 'n2'",)),
    ((FLAT, op("Gemm", n(784, 10)), op("LogSoftmax", axis=1)), ("LogSoftmax 'n2'",)),
    ((op("Exp"), FLAT, op("Gemm", n(784, 10)), op("Elu")), ("Exp 'n0'", "Elu 'n3'")),
    ((op("Conv", n(2, 1, 3, 3)), op("LpPool", kernel_shape=[2, 2]), FLAT), ("LpPool 'n1'",)),
    ((op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), FLAT), ("MaxPool 'n0'",)),
    ((op("Add", n(28)), op("Div", "image", "v0")), ("Div 'n1'",)),
    ((op("ReduceMean", ints(2, 3)), op("InstanceNormalization", n(1), n(1))), ("InstanceNormalization 'n1'",)),
]


@pytest.mark.parametrize(("ops", "names"), UNCOVERED, ids=lambda value: value[0] if isinstance(value[0], str) else "")
def test_what_is_not_covered_is_named_and_nothing_is_certified(ops: tuple[Op, ...], names: tuple[str, ...]) -> None:
    model, pixels = chain(*ops), images(3)
    graph = graph_of(model)
    assert graph.uncovered == tuple(f"{name}: not covered by the certificate" for name in names)
    bounds = graph.certify(pixels)
    exact = by_onnx(doubled(model), pixels.astype(np.float64))
    np.testing.assert_allclose(bounds.logits, exact, rtol=1e-12, atol=1e-13)
    assert np.isinf(bounds.logit_bounds).all()
    assert np.isinf(bounds.margin_bounds).all()
    assert not bounds.certified.any()
    np.testing.assert_array_equal(bounds.predictions, exact.argmax(1))


def test_a_node_that_the_answer_does_not_depend_on_does_not_matter() -> None:
    model = chain(op("Exp"), op("RandomNormalLike", "image"), op("Flatten", "image"), op("Gemm", n(784, 10)))
    graph = graph_of(model)
    assert not graph.uncovered
    assert not graph.random


def test_float16_inside_is_not_covered_and_weights_kept_in_it_are() -> None:
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    weight = n(784, 10).astype(np.float16)
    inside = chain(FLAT, op("Cast", to=half), op("MatMul", weight), op("Cast", to=single))
    said = ("Cast 'n1' to float16", "MatMul 'n2' in float16")
    assert graph_of(inside).uncovered == tuple(f"{one}: not covered by the certificate" for one in said)
    stored = chain(alone("Cast", weight, to=single), op("Flatten", "image"), op("MatMul", "v1", "v0"))
    graph, pixels = graph_of(stored), images(3)
    assert not graph.uncovered
    plain = chain(FLAT, op("MatMul", weight.astype(np.float32)))
    np.testing.assert_array_equal(graph.certify(pixels).margin_bounds, graph_of(plain).certify(pixels).margin_bounds)


def test_inputs_of_other_types_are_taken_exactly() -> None:
    pixels, weight = images(3), n(784, 10)
    integers = chain(op("Cast", to=TensorProto.FLOAT), FLAT, op("Gemm", weight), kind=TensorProto.UINT8)
    graph = graph_of(integers, dtype="uint8", pixels="bytes")
    whole = np.rint(pixels.reshape(3, -1) * np.float32(255)).astype(np.float64)
    np.testing.assert_allclose(graph.logits(pixels), whole @ weight.astype(np.float64), rtol=1e-12)
    assert not graph.uncovered
    halves = chain(FLAT, op("Gemm", weight.astype(np.float16)), kind=TensorProto.FLOAT16)
    assert graph_of(halves, dtype="float16").uncovered == ("Gemm 'n1' in float16: not covered by the certificate",)


def test_images_are_adapted_and_fixed_batches_filled() -> None:
    network, pixels = Network.drawn("pooled", 2, 0.3), images(10)
    whole = graph_of(network.model()).certify(pixels)
    turned = chain(op("Transpose", perm=[0, 3, 1, 2]), op("Flatten"), op("Gemm", n(784, 10)), shape=(28, 28, 1))
    graph = graph_of(turned, shape=(28, 28, 1), pixels="inverted")
    weight = numpy_helper.to_array(turned.graph.initializer[0]).astype(np.float64)
    exact = (np.float32(1) - pixels).reshape(10, -1).astype(np.float64) @ weight
    np.testing.assert_allclose(graph.logits(pixels), exact, rtol=1e-12)
    model = network.model()
    model.graph.initializer[4].CopyFrom(numpy_helper.from_array(ints(4, 64), model.graph.initializer[4].name))
    fixed = graph_of(model, batch=4).certify(pixels)
    np.testing.assert_allclose(fixed.logits, whole.logits, rtol=1e-12)
    np.testing.assert_allclose(fixed.margin_bounds, whole.margin_bounds, rtol=1e-12)


def test_quantised_weights_are_not_covered() -> None:
    """Runtimes quantise what is multiplied by them too: ONNX Runtime does, where it is let."""
    integers, scale = RANDOM.integers(-127, 128, (784, 10)).astype(np.int8), np.abs(n(10))
    model = chain(alone("DequantizeLinear", integers, scale, axis=1), op("Flatten", "image"), op("MatMul", "v1", "v0"))
    graph, pixels = graph_of(model), images(5)
    weight = integers.astype(np.float64) * scale.astype(np.float64)
    np.testing.assert_allclose(graph.logits(pixels), pixels.reshape(5, -1).astype(np.float64) @ weight, rtol=1e-12)
    assert graph.uncovered == ("DequantizeLinear 'n0': not covered by the certificate",)


def test_where_a_partial_sum_could_overflow_nothing_is_certified() -> None:
    weight = np.full((784, 10), 3e37, np.float32) * np.sign(n(784, 10))
    bounds = graph_of(chain(FLAT, op("Gemm", weight))).certify(images(3) * 0 + np.float32(1))
    assert np.isinf(bounds.logit_bounds).all()
    assert not bounds.certified.any()
    hidden = chain(FLAT, op("Gemm", weight), op("Mul", np.zeros(10, np.float32)), op("Add", n(10)))
    bounds = graph_of(hidden).certify(images(3) * 0 + np.float32(1))
    assert np.isinf(bounds.logit_bounds).all()
    assert np.isinf(bounds.margin_bounds).all()
    assert not bounds.certified.any()


def test_what_underflows_and_is_flushed_stays_within_the_bound() -> None:
    factors = [np.full(28, factor, np.float32) for factor in (1e-30, 1e-12, 1e30)]
    bounds = graph_of(chain(*(op("Mul", factor) for factor in factors), FLAT)).certify(images(3))
    assert np.isfinite(bounds.logit_bounds).all()
    assert (bounds.logit_bounds >= np.abs(bounds.logits)).all()  # where the second product is flushed all are 0


def branch() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", ["image"], ["out"])], "body", [], [value])
    return chain(alone("If", np.array(True), then_branch=body, else_branch=body))


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "branches": (branch, "its If 'n0' runs parts of the graph as the data say"),
    "training": (lambda: chain(op("BatchNormalization", n(1), n(1), n(1), n(1), training_mode=1)), "in training mode"),
    "old": (lambda: chain(op("Relu"), opset=6), "it has opset 6: convert it to 7 or later"),
    "nothing": (
        lambda: chain(op("Constant", "image", value=numpy_helper.from_array(n(3)))),
        "cannot be evaluated here",
    ),
    "unknown": (lambda: chain(op("Fancy", domain="com.example")), r"not ONNX's own \(com.example.Fancy\)"),
    "misfit": (lambda: chain(FLAT, op("Gemm", n(700, 10))), "cannot be evaluated here"),
    "sequence": (lambda: chain(op("SequenceConstruct"), op("Identity")), "cannot be evaluated here"),
    "unconnected": (lambda: chain(op("Relu", "nowhere")), "cannot be evaluated here"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_one_answer_is_refused_in_one_line(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ModelRefused, match=words) as refused:
        graph_of(make())
    assert "\n" not in str(refused.value)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(ModelRefused, match="cannot be evaluated here"):
        Graph.of(b"no model", OURS)
    two = chain(FLAT)
    two.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelRefused, match="it has 2 inputs"):
        graph_of(two)
    with pytest.raises(ModelRefused, match="does not depend on the image"):
        graph_of(chain(op("Relu"), alone("Relu", n(3))))


@pytest.mark.parametrize(
    ("ops", "name"),
    [
        ((op("RandomNormalLike"), op("Relu")), "RandomNormalLike 'n0'"),
        ((op("Dropout", scalar(0.5), np.array(True)), op("Relu")), "Dropout 'n0'"),
        ((op("Bernoulli"),), "Bernoulli 'n0'"),
    ],
)
def test_what_is_random_is_named_and_not_evaluated(ops: tuple[Op, ...], name: str) -> None:
    graph = graph_of(chain(*ops))
    assert graph.random == (name,)
    for evaluate in (graph.logits, graph.certify):
        with pytest.raises(ModelRefused, match=name):
            evaluate(images(1))


def test_one_of_several_outputs_is_the_answer() -> None:
    model = chain(FLAT, op("Gemm", n(784, 10)), op("Softmax"))
    model.graph.output.append(helper.make_tensor_value_info("v1", TensorProto.FLOAT, None))
    assert graph_of(model).uncovered
    assert not graph_of(model, output="v1").uncovered


def hyperbolic_tangents() -> dict[str, Callable[[float32.F32], float32.F32]]:
    """Those of the runtimes that are present, each as they run it."""
    model = chain(op("Tanh"), shape=(), batch="n")
    opened = session(model.SerializeToString(), optimised=True)
    return {
        "torch": lambda x: torch.tanh(torch.from_numpy(x)).numpy(),
        "onnxruntime": lambda x: np.asarray(opened.run(None, {"image": x})[0], np.float32),
    }


@pytest.mark.processors
@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_the_hyperbolic_tangents_that_are_here_keep_the_assumption(name: str) -> None:
    arguments = np.linspace(-40, 40, 2_000_001).astype(np.float32)
    exact = np.tanh(arguments.astype(np.float64))
    error = np.abs(hyperbolic_tangents()[name](arguments).astype(np.float64) - exact)
    allowed = SIGMOID_ULPS * np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64) + SIGMOID_FLOOR
    assert (error <= allowed).all(), (error / allowed).max()
