"""Certificates of LiteRT's files, and of files with the numbers of an ONNX file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_bench import data, formats, hosts, parity, store
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Manifest, Record
from mnist_bench.parity._int8 import certify_steps
from mnist_bench.parity._quantised import Certificates
from mnist_bench.parity._steps import Activate, NotCovered, Product, QuantiseByRange, Shift
from mnist_bench.parity._targets import Target, Wanted, find_targets
from mnist_bench.parity._tflite import steps_of

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="LiteRT has no wheel for it")


def content(exported: Path) -> bytes:
    return (exported / formats.file_name("litert", "int8-dynamic")).read_bytes()


def changed(exported: Path, change: Callable[[Any], object]) -> bytes:
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content(exported))
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_file_is_read_as_layers_that_quantise_each_image(exported: Path) -> None:
    steps = steps_of(content(exported))
    layer = [QuantiseByRange, Product, Shift]
    assert [type(step) for step in steps] == [*layer, Activate, *layer, Activate, *layer]
    assert all(step.signed for step in steps if isinstance(step, QuantiseByRange))
    assert steps_of(changed(exported, lambda _model: None))[0] == steps[0]  # what the others below change is one thing


def test_company_changes_nothing_where_each_image_has_its_own_scale(exported: Path, digits: data.Dataset) -> None:
    images, steps = data.to_input(digits.test.pixels), steps_of(content(exported))
    alone, together = (certify_steps(steps, images, batches=batches).bounds for batches in (False, True))
    assert np.array_equal(alone.logits, together.logits)
    assert np.array_equal(alone.certified, together.certified)
    assert together.certified.mean() > 0.9


def weight(model: Any) -> Any:
    graph = model.subgraphs[0]
    return graph.tensors[graph.operators[0].inputs[1]]


def options(model: Any) -> Any:
    return model.subgraphs[0].operators[0].builtinOptions


def least(model: Any) -> None:
    model.buffers[weight(model).buffer].data = np.full(784 * 512, 0x80, np.uint8)


def without_bias(model: Any) -> None:
    """The last tensor of the graph must not be taken for it."""
    layer = model.subgraphs[0].operators[-1]
    layer.inputs = [*layer.inputs[:2], -1]


def set_to(place: Callable[[Any], Any], name: str, value: Any) -> Callable[[Any], object]:
    return lambda model: setattr(place(model), name, value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (least, "a weight of -128"),
        (
            set_to(lambda m: m.subgraphs[0].operators[0].builtinOptions, "asymmetricQuantizeInputs", False),
            "not quantise",
        ),
        (
            set_to(lambda m: m.subgraphs[0].operators[0].builtinOptions, "fusedActivationFunction", 3),
            "activation of kind",
        ),
        (set_to(lambda m: weight(m).quantization, "quantizedDimension", 1), "no scale for each unit"),
        (set_to(lambda m: m.operatorCodes[0], "builtinCode", 0), "an operator of kind 0"),
        (set_to(lambda m: m.subgraphs[0], "outputs", [0]), "does not give its answers"),
        (set_to(lambda m: m.subgraphs[0].operators[1], "inputs", [0, 1, 2]), "no chain"),
        (set_to(weight, "buffer", 10**6), "makes no sense"),
        (without_bias, "without a bias"),
        (set_to(lambda m: m.subgraphs[0].tensors[m.subgraphs[0].operators[0].inputs[2]], "type", 2), "a bias that is"),
    ],
)
def test_what_is_something_else_is_not_covered(change: Callable[[Any], object], reason: str, exported: Path) -> None:
    with pytest.raises(NotCovered, match=reason):
        steps_of(changed(exported, change))


def test_no_file_cut_short_is_covered(exported: Path) -> None:
    whole = content(exported)
    for size in (0, 3, 8, 40, 1_000, len(whole) // 2):
        with pytest.raises(NotCovered):
            steps_of(whole[:size])


# Files with the numbers of an ONNX file


def with_numbers(folder: Path, record: Record, precision: Precision) -> list[Target]:
    wanted = Wanted(runtimes=("c", "ort-fixed", "onnxruntime"), on=(hosts.HERE,))
    return [one for one in find_targets(folder, record, wanted).ready if one.precision == precision]


def test_files_with_the_same_numbers_share_a_certificate(exported: Path, digits: data.Dataset) -> None:
    record = store.load_record(exported)
    certificates = Certificates(parity.build_inputs(digits, parity.weights_of(exported, record)).first(50))
    targets = with_numbers(exported, record, "int8")
    assert {target.model.format for target in targets} == {"c", "ort-fixed", "onnx"}
    first, *others = (certificates.bounds(target, 1) for target in targets)
    assert first is not None
    assert all(one is first for one in others)
    (saved,) = certificates.saved()
    manifest = store.load(exported, Manifest)
    assert manifest
    (graph,) = [one for one in manifest.artifacts if (one.format, one.precision) == ("onnx", "int8")]
    assert (saved.format, saved.sha256, saved.others) == ("onnx", graph.sha256, ("c", "ort-fixed"))


def test_without_the_onnx_file_there_is_none_and_the_reason_is_said(exported: Path, digits: data.Dataset) -> None:
    from dataclasses import replace

    record = store.load_record(exported)
    certificates = Certificates(parity.build_inputs(digits, parity.weights_of(exported, record)).first(50))
    others = [one for one in with_numbers(exported, record, "int8") if one.numbers_of]
    for target in others:
        assert certificates.bounds(replace(target, graph=None), 1) is None
    assert [one.target for one in certificates.absent] == ["certificate of c int8", "certificate of ort-fixed int8"]
    for absent in certificates.absent:
        assert "does not hold the ONNX file" in absent.reason
        assert "--format onnx --format" in absent.remedy
