"""Where answers drift: layers stay within their bounds, and one that does not is named; what quantisation costs."""

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import save

import mnist_bench.report as report
from mnist_bench import data, parity, runtimes, store
from mnist_bench.core import protocol
from mnist_bench.core.errors import Unsupported
from mnist_bench.core.kinds import Activation, Skipped
from mnist_bench.core.types import LogitError, ParityRecord
from mnist_bench.model import Network
from mnist_bench.parity import Weights
from mnist_bench.parity._int8 import certify_steps
from mnist_bench.parity._layers import compared, reference_layers, verdict
from mnist_bench.parity._shares import PARTS, check_layers, error, gone, in_float, layers_of, passage, quantised
from mnist_bench.parity._steps import Activate, NotCovered, Product, Quantise, QuantiseByRange, Shift, Step, steps_of
from mnist_bench.report.figures import layers as figure
from mnist_bench.report.page import render_page
from mnist_bench.runtimes._contract import Images, Layers
from mnist_bench.worker._serve import Worker
from tests.conftest import Run
from tests.parity.test_int8 import Drawn
from tests.parity.test_steps import FORMS, IMAGES
from tests.parity.test_steps import quantised as quantised_file

SIGNATURE: list[tuple[str, list[str | int | None]]] = [("image", ["n", 1, 28, 28]), ("logits", ["n", 10])]
NAMES = ["fc1", "act1", "fc2", "act2", "fc3"]
PIXELS = np.random.default_rng(0).random((20, 1, 28, 28), np.float32)
QUICK = ("verify", "--batch-size", "128", "--threads", "1", "-q")


def network(activation: Activation) -> Network:
    torch.manual_seed(1)
    return Network(activation).eval()


def arrays(found: Network) -> dict[str, NDArray[Any]]:
    return {name: value.detach().numpy() for name, value in found.state_dict().items()}


def activation_of(found: Network) -> Activation:
    return "relu" if isinstance(found.activation, torch.nn.ReLU) else "sigmoid"


def weights_of(found: Network) -> Weights:
    return Weights.of(arrays(found), activation_of(found))


def onnx_file(found: Network) -> onnx.ModelProto:
    """Write the network as exporters do, without one: it takes seconds."""
    make, kind = onnx.helper.make_node, {"relu": "Relu", "sigmoid": "Sigmoid"}[activation_of(found)]
    nodes, at = [make("Flatten", ["image"], ["flat"])], "flat"
    for number in (1, 2, 3):
        name = "logits" if number == 3 else f"sum{number}"
        nodes.append(make("Gemm", [at, f"fc{number}.weight", f"fc{number}.bias"], [name], transB=1))
        if number < 3:
            nodes.append(make(kind, [name], [at := f"lit{number}"]))
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in SIGNATURE]
    stored = [numpy_helper.from_array(value, name) for name, value in arrays(found).items()]
    graph = onnx.helper.make_graph(nodes, "made", ends[:1], ends[1:], stored)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def scripted(module: Any) -> bytes:
    written = io.BytesIO()
    torch.jit.save(module, written)
    return written.getvalue()


def traced(found: Network) -> Any:
    return torch.jit.trace(found, torch.from_numpy(PIXELS))  # type: ignore[no-untyped-call]


FILES: dict[str, tuple[str, str, Callable[[Network], bytes]]] = {
    "torch-eager": ("torch-eager", "weights", lambda found: save(arrays(found))),
    "torchscript, frozen": ("torchscript", "torchscript", lambda found: scripted(torch.jit.freeze(traced(found)))),
    "torchscript, traced": ("torchscript", "torchscript", lambda found: scripted(traced(found))),
    "onnxruntime": ("onnxruntime", "onnx", lambda found: onnx_file(found).SerializeToString()),
    "onnx-reference": ("onnx-reference", "onnx", lambda found: onnx_file(found).SerializeToString()),
}


def shown(runtime: str, kind: str, content: bytes, activation: Activation, images: Images) -> tuple[Layers, Any]:
    """Open a model here; return what it shows of its layers, and its logits."""
    model = runtimes.Model({"model": content}, kind, "fp32", activation)
    with runtimes.load(runtime).open(model, runtimes.Spec()) as session:
        assert session.layers
        return session.layers(images), session.run(images)


# What a runtime shows


@pytest.mark.processors
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name", FILES)
def test_every_layer_is_shown_and_stays_within_its_bound(name: str, activation: Activation) -> None:
    found = network(activation)
    runtime, kind, write = FILES[name]
    layers, logits = shown(runtime, kind, write(found), activation, PIXELS)
    assert list(layers) == NAMES
    for layer in reference_layers(weights_of(found), PIXELS):
        off = compared(layer, layers[layer.name], bounded=True)
        assert (off.beyond, off.images_beyond) == (0, 0), off
        assert off.largest is not None
        assert off.largest_bound is not None
        assert 0 < off.largest < off.largest_bound
        assert off.bound_used is not None
        assert off.bound_used <= 1
    np.testing.assert_allclose(layers["fc3"], logits, atol=1e-5)


@pytest.mark.parametrize("place", range(3))
def test_a_layer_with_another_weight_is_the_first_that_leaves_its_bound(place: int) -> None:
    found = network("relu")
    reference = list(reference_layers(weights_of(found), PIXELS))
    with torch.no_grad():
        (found.fc1, found.fc2, found.fc3)[place].weight[3] += 0.05
    layers, _ = shown("torch-eager", "weights", FILES["torch-eager"][2](found), "relu", PIXELS)
    said = verdict([compared(layer, layers[layer.name], bounded=True) for layer in reference], len(PIXELS))
    assert f"the first layer that leaves its bound is fc{place + 1}, on 20 of 20 images: it is off by up to" in said
    assert "is possible in float32" in said


def test_what_is_not_finite_or_of_another_shape_is_told() -> None:
    layer, *_ = reference_layers(weights_of(network("relu")), PIXELS)
    values = layer.values.astype(np.float32)
    assert compared(layer, values, bounded=False).largest_bound is None
    values[4, 7] = np.nan
    off = compared(layer, values, bounded=True)
    assert (off.largest, off.bound_used, off.beyond, off.images_beyond) == (None, None, 1, 1)
    assert "fc1, on 1 of 20 images: it is not finite" in verdict([off], 20)
    unbounded = replace(layer, bounds=np.full_like(layer.bounds, np.inf))
    assert compared(unbounded, values, bounded=True).beyond == 1
    for wrong in (values[:, 1:], values.astype(np.float64)):
        with pytest.raises(Unsupported, match="its layers are not the reference's: fc1 is float"):
            compared(layer, wrong, bounded=True)
    assert "none of its layers leaves its bound" in verdict([], 20)


class Gated(torch.nn.Module):
    """Answers as the network does, by way of an operation that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network("relu")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(image) * 1.0
        return logits


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_model_that_is_no_chain_of_layers_says_what_it_has() -> None:
    other = torch.jit.trace(Gated().eval(), torch.from_numpy(PIXELS))  # type: ignore[no-untyped-call]
    with pytest.raises(Unsupported, match="it has an operation aten::mul"):
        shown("torchscript", "torchscript", scripted(other), "relu", PIXELS)
    model = onnx_file(network("relu"))
    model.graph.node[2].op_type = "Tanh"
    with pytest.raises(Unsupported, match="it has a node Tanh"):
        shown("onnxruntime", "onnx", model.SerializeToString(), "relu", PIXELS)
    model.graph.node[2].op_type = "Identity"
    with pytest.raises(Unsupported, match="not dense ones and activations in turns"):
        shown("onnx-reference", "onnx", model.SerializeToString(), "relu", PIXELS)


def test_a_product_and_the_bias_behind_it_are_one_layer() -> None:
    found = network("relu")
    model = onnx_file(found)
    gemm = model.graph.node[1]
    (weight,) = (one for one in model.graph.initializer if one.name == "fc1.weight")
    transposed = np.ascontiguousarray(numpy_helper.to_array(weight).T)
    weight.CopyFrom(numpy_helper.from_array(transposed, weight.name))
    model.graph.node.insert(2, onnx.helper.make_node("Add", ["product", "fc1.bias"], [gemm.output[0]]))
    gemm.CopyFrom(onnx.helper.make_node("MatMul", ["flat", "fc1.weight"], ["product"]))
    layers, _ = shown("onnxruntime", "onnx", model.SerializeToString(), "relu", PIXELS)
    first = next(reference_layers(weights_of(found), PIXELS))
    assert compared(first, layers["fc1"], bounded=True).beyond == 0


def test_a_worker_that_shows_nothing_says_so() -> None:
    worker = Worker()
    worker.answer(protocol.Message("hello", {"runtime": "null"}))
    fields = {"device": "cpu", "threads": 1, "precision": "fp32", "format": "", "file_precision": "fp32"}
    opened = worker.answer(
        protocol.Message("open", fields | {"activation": "relu", "batch": None, "sha256": {}, "foreign": False})
    )
    assert opened.fields["layers"] is False
    answer = worker.answer(protocol.Message("layers", {"batch_size": 4}, {"images": PIXELS}))
    assert answer.kind == "error"
    assert answer.fields["kind"] == "unsupported"
    worker.close()


# What quantisation costs


def static(seed: int) -> tuple[list[Step], Weights, NDArray[np.float32]]:
    """Return a quantised network, the network in float that it stands for, and images of it."""
    drawn = Drawn(seed)
    layers = layers_of(drawn.steps)
    pairs = tuple((layer.product.weight, layer.product.bias) for layer in layers)
    return drawn.steps, Weights(pairs, drawn.activation), drawn.images


def errors_without(steps: list[Step], weights: Weights, images: NDArray[np.float32]) -> tuple[LogitError, list[float]]:
    """Return the error of a network, and of each layer which share is gone without its quantisation."""
    layers, given = layers_of(steps), images.reshape(len(images), -1).astype(np.float64)
    in_reals = [in_float(one, pair, PARTS) for one, pair in zip(layers, weights.layers, strict=True)]
    reference = passage(in_reals, given)[-1]
    whole = error(passage(layers, given)[-1], reference)
    shares = []
    for place, floated in enumerate(in_reals):
        logits = passage([*layers[:place], floated, *layers[place + 1 :]], given)[-1]
        shares.append(gone(whole, error(logits, reference)))
    return whole, shares


@pytest.mark.parametrize("seed", range(1, 13))
def test_what_is_computed_lies_within_the_certificate(seed: int) -> None:
    steps, _, images = static(seed)
    found = certify_steps(steps, images).bounds
    logits = passage(layers_of(steps), images.reshape(len(images), -1).astype(np.float64))[-1]
    assert (np.abs(logits - found.logits) <= found.logit_bounds).all()


@pytest.mark.parametrize("form", [*FORMS, "by range"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_all_forms_of_a_file_have_the_layers_of_the_network(form: str, activation: Activation, tmp_path: Path) -> None:
    steps = steps_of(quantised_file(tmp_path, activation, form))
    layers = layers_of(steps)
    assert [layer.function for layer in layers] == [activation, activation, None]
    assert all(layer.reads for layer in layers)
    found = certify_steps(steps, IMAGES).bounds
    logits = passage(layers, IMAGES.astype(np.float64))[-1]
    assert (np.abs(logits - found.logits) <= found.logit_bounds).all()


def coarser(step: Product, factor: int) -> Product:
    """Round weights to multiples of so many of their units."""
    assert step.integers is not None
    assert step.unit is not None
    integers = factor * np.rint(step.integers / factor).astype(np.int64)
    return replace(step, integers=integers, weight=integers * step.unit[:, None])


def grid(values: NDArray[np.float64], levels: int) -> Quantise:
    return Quantise(float(values.max()) / levels, 0, 0, levels)


def three_layers(levels: tuple[int, int, int]) -> tuple[list[Step], Weights, NDArray[np.float32]]:
    """Return a ReLU network whose layers read so many levels; all weights are as in float."""
    random = np.random.default_rng(3)
    sizes, values, pairs = (40, 30, 20, 5), random.random((300, 40)), []
    steps: list[Step] = []
    images = values.astype(np.float32)
    for (inputs, outputs), count in zip(pairwise(sizes), levels, strict=True):
        pair = random.normal(0, inputs**-0.5, (outputs, inputs)), random.normal(0, 0.1, outputs)
        pairs.append(pair)
        steps += [grid(values, count), Product(*pair)]
        values = np.maximum(values @ pair[0].T + pair[1], 0)
    return steps, Weights(tuple(pairs), "relu"), images


@pytest.mark.parametrize("coarse", range(3))
def test_the_layer_that_is_quantised_most_coarsely_has_the_largest_share(coarse: int) -> None:
    levels = tuple(8 if place == coarse else 255 for place in range(3))
    _, shares = errors_without(*three_layers(levels))  # type: ignore[arg-type]
    assert shares[coarse] > 0.9
    assert sorted(shares)[-2] < 0.1


def test_shares_of_unrelated_errors_add_up() -> None:
    whole, shares = errors_without(*three_layers((127, 127, 127)))
    assert whole.root_mean_square > 0
    assert sum(shares) == pytest.approx(1, abs=0.1)
    assert all(share > 0 for share in shares)
    assert gone(LogitError(root_mean_square=0.0, largest=0.0, flips=0), whole) == 0


def test_a_layer_that_is_as_in_float_has_no_share() -> None:
    steps, weights, images = three_layers((16, 16, 16))
    del steps[2]  # what the second layer reads; its ReLU goes with it
    _, shares = errors_without([*steps[:2], Activate("relu"), *steps[2:]], weights, images)
    assert shares[1] == 0
    assert min(shares[0], shares[2]) > 0.1


def test_coarser_weights_cost_more() -> None:
    steps, weights, images = static(2)  # powers of two: only what is rounded further differs
    place = max(at for at, step in enumerate(steps) if isinstance(step, Product) and step.integers is not None)
    product = steps[place]
    assert isinstance(product, Product)
    changed = [*steps[:place], coarser(product, 4), *steps[place + 1 :]]
    before, after = errors_without(steps, weights, images)[0], errors_without(changed, weights, images)[0]
    assert after.root_mean_square > before.root_mean_square


def test_halves_are_rounded_to_even_and_a_range_holds_zero() -> None:
    found = quantised(np.array([[0.5, 1.5, 2.5, 300.0, -1.0]]), Quantise(1.0, 0, 0, 255))
    assert found.real.tolist() == [[0, 2, 2, 255, 0]]
    found = quantised(np.array([[0.0, 0.0], [51.0, 102.0], [-1.0, 1.0]]), QuantiseByRange())
    assert found.real[0].tolist() == [0, 0]
    assert found.real[1].tolist() == pytest.approx([51, 102], abs=0.3)
    assert found.scale[1, 0] == np.float32(102 / 255)
    assert found.real[2].tolist() == pytest.approx([-1, 1], abs=2 / 255)


def test_layers_that_are_not_the_reference_s_are_refused() -> None:
    steps, weights, _ = three_layers((16, 16, 16))
    check_layers(layers_of(steps), weights)
    with pytest.raises(NotCovered, match="its activation is relu, and not sigmoid"):
        check_layers(layers_of(steps), replace(weights, activation="sigmoid"))
    with pytest.raises(NotCovered, match="which are not the reference's"):
        check_layers(layers_of(steps[:-2]), weights)
    for broken, reason in (
        ([], "no dense layer"),
        ([Activate("relu"), *steps], "an activation stands where none should be"),
        ([*steps[:2], *steps[3:]], "no activation between"),
        ([*steps[:2], Quantise(1.0, 3, 0, 255), *steps[3:]], "no activation between"),
    ):
        with pytest.raises(NotCovered, match=reason):
            layers_of(broken)
    shifted = layers_of([steps[0], steps[1], Shift(np.ones(30)), *steps[2:]])
    assert [type(step) for step in shifted[0].after] == [Shift]


# The command


@pytest.fixture(scope="module")
def looked_at(light: Path, digits: data.Dataset) -> ParityRecord:
    plan = parity.Plan(("onnxruntime", "torch-eager"), (128,), layers=True)
    return parity.verify(light, digits, plan, lambda _: None)


@pytest.mark.processors
def test_verify_looks_at_the_layers_of_those_that_show_them(looked_at: ParityRecord) -> None:
    assert {found.target for found in looked_at.layers} == {"onnxruntime", "onnxruntime fp16", "torch-eager"}
    for found in looked_at.layers:
        assert [layer.layer for layer in found.layers] == NAMES
        assert found.images == len(looked_at.labels)  # there are fewer than 1,000
        assert not any(layer.beyond for layer in found.layers)
        exact = found.target != "onnxruntime fp16"
        assert all((layer.largest_bound is not None) is exact for layer in found.layers)
    assert not [one for one in looked_at.skipped if one.target.startswith("layers of")]


def test_verify_says_what_the_quantisation_of_each_layer_costs(looked_at: ParityRecord) -> None:
    assert {found.precision for found in looked_at.shares} == {"int8", "int8-dynamic"}
    for found in looked_at.shares:
        assert [one.layer for one in found.layers] == ["fc1", "fc2", "fc3"]
        assert sum(one.share for one in found.layers) == pytest.approx(1, abs=0.3)
        kept = {one.layer: one for one in found.layers}
        assert kept["fc1"].of_weights > 0
        assert (kept["fc3"].of_weights == 0) is (found.precision == "int8")  # whose last layer is in float


def test_layers_stand_in_tables_and_in_a_picture(looked_at: ParityRecord) -> None:
    drift, shares = (table for table in report.parity_tables(looked_at, report.ViewOptions(), ["layers"]))
    assert [row[1] for row in drift.rows] == 3 * NAMES
    assert [row[1] for row in shares.rows] == 2 * ["none", "fc1", "fc2", "fc3"]
    (picture,) = figure.build(report.Material([], comparisons=[looked_at]))
    assert not isinstance(picture, Skipped)
    assert "No value leaves its bound" in picture.says
    first, *others = looked_at.layers
    wrong = replace_field(first, layers=tuple(replace_field(one, beyond=3, images_beyond=2) for one in first.layers))
    (picture,) = figure.build(report.Material([], comparisons=[replace_field(looked_at, layers=(wrong, *others))]))
    assert not isinstance(picture, Skipped)
    exact = first.target != "onnxruntime fp16"
    assert (f"{first.target} leaves its bound first in fc1" in picture.says) is exact


def test_the_page_shows_the_layers_or_how_to_look_at_them(looked_at: ParityRecord, light: Path) -> None:
    record = store.load_record(light)
    seen = render_page(report.Material([record], comparisons=[looked_at]), report.ViewOptions())
    assert "Where the answers drift, layer by layer" in seen
    assert "Largest difference from the float64 reference in each layer" in seen
    unseen = replace_field(looked_at, layers=(), shares=())
    page = render_page(report.Material([record], comparisons=[unseen]), report.ViewOptions())
    assert "Where the answers drift, layer by layer" not in page
    assert "--layers" in page


def changed(folder: Path, path: Path) -> None:
    """Write a run's ONNX file with another weight in its second layer."""
    model = onnx.load(folder / "model.onnx")
    (tensor,) = (one for one in model.graph.initializer if one.name == "fc2.weight")
    weight = numpy_helper.to_array(tensor).copy()
    weight[3] += 0.05
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    onnx.save(model, path)


def test_a_failed_verification_says_which_layer_first_leaves_its_bound(
    light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(light, Path("changed.onnx"))
    asked = ("--out", light.parent, "--model", "changed.onnx", "--runtime", "onnxruntime")
    assert run(*QUICK, *asked) == 1
    said = capsys.readouterr().err
    assert "the first layer that leaves its bound is fc2, on 100 of 100 images: it is off by up to" in said
    assert said.count("the first layer that leaves its bound") == 1


def test_a_file_that_fails_and_shows_no_layers_is_told_as_before(
    light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(light, Path("changed.onnx"))
    model = onnx.load("changed.onnx")
    first = next(node for node in model.graph.node if node.op_type == "Relu")
    first.op_type = "Max"  # of the value alone: the same, of another name
    first.input.append("zero")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    onnx.save(model, "changed.onnx")
    asked = ("--out", light.parent, "--model", "changed.onnx", "--runtime", "onnxruntime")
    assert run(*QUICK, *asked) == 1
    assert "layer" not in capsys.readouterr().err
    assert run("verify", "--batch-size", "128", "--threads", "1", *asked, "--layers") == 1
    assert "its layers cannot be told apart: it" in " ".join(capsys.readouterr().out.split())


def test_layers_are_those_of_this_machine_alone(light: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--out", light.parent, "--cpu", "haswell", "--layers") == 2
    assert "leave out --cpu" in capsys.readouterr().err
