"""`verify` says what is wrong with a file, and goes on when it is told to take that for granted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.helper import make_node

import mnist_bench.report as report
from mnist_bench import data, store
from mnist_bench.core.types import ParityRecord
from mnist_bench.report.page import render_page
from tests.conftest import Run, train_digits
from tests.documents import unsealed

QUICK = ("verify", "--batch-size", "1,128", "--threads", "1")
Change = Callable[[onnx.ModelProto], None]


def behind(operator: str, **attributes: Any) -> Change:
    """Let a file end in one more operation."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "before"
        model.graph.node.append(make_node(operator, ["before"], [model.graph.output[0].name], **attributes))

    return change


def in_front(operator: str, *constants: float, **attributes: Any) -> Change:
    """Let a file begin with one more operation, with constants or none."""

    def change(model: onnx.ModelProto) -> None:
        name = model.graph.input[0].name
        for node in model.graph.node:
            node.input[:] = ["changed" if one == name else one for one in node.input]
        model.graph.initializer.extend(
            numpy_helper.from_array(np.array(value, np.float32), f"c{place}") for place, value in enumerate(constants)
        )
        operands = [name, *(f"c{place}" for place in range(len(constants)))]
        model.graph.node.insert(0, make_node(operator, operands, ["changed"], **attributes))

    return change


def training_mode(model: onnx.ModelProto) -> None:
    """Draw at random what is left out behind the first activation, a fifth of it."""
    nodes, first = model.graph.node, next(node for node in model.graph.node if node.op_type == "Relu")
    place, name, first.output[0] = list(nodes).index(first) + 1, first.output[0], "lit"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.2, np.float32), "ratio"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1.25, np.float32), "scale"))
    for node in (
        make_node("Mul", ["kept", "scaled"], [name]),
        make_node("Mul", ["lit", "scale"], ["scaled"]),
        make_node("Cast", ["chosen"], ["kept"], to=onnx.TensorProto.FLOAT),
        make_node("Greater", ["drawn", "ratio"], ["chosen"]),
        make_node("RandomUniformLike", ["lit"], ["drawn"]),
    ):
        nodes.insert(place, node)


def permuted(model: onnx.ModelProto) -> None:
    """Write the classes in the reverse order."""
    for one in model.graph.initializer:
        if one.dims and one.dims[0] == 10:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one)[::-1].copy(), one.name))


def made(light: Path, *changes: Change) -> str:
    """Write the run's ONNX file with some changes into this folder."""
    model = onnx.load(light / "model.onnx")
    del model.graph.value_info[:]
    for change in changes:
        change(model)
    onnx.save(model, "theirs.onnx")
    return "theirs.onnx"


CASES: dict[str, tuple[tuple[Change, ...], tuple[str, ...], str]] = {
    "softmax": ((behind("Softmax", axis=1),), ("softmax",), "it ends in softmax: its answers are probabilities"),
    "bytes": ((in_front("Div", 255.0),), ("bytes",), "it divides pixels by 255 itself: it wants them from 0 to 255"),
    "transposed": ((in_front("Transpose", perm=[0, 1, 3, 2]),), ("transposed",), "it transposes images"),
    "two": (
        (behind("LogSoftmax", axis=1), permuted),
        ("log-softmax", "permuted:9,8,7,6,5,4,3,2,1,0"),
        "logarithms of probabilities; and its classes stand in another order",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_and_may_be_taken_for_granted(
    name: str, light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, assumed, says = CASES[name]
    asked = (*QUICK, "--out", light.parent, "--model", made(light, *changes), "--runtime", "onnxruntime")
    assert run(*asked) == 1
    told = capsys.readouterr()
    assert says in told.err
    assert "this is not this network in float32" not in told.err
    assert "other weights" not in told.err
    assert "logits lie outside the certificate's bound" in told.err
    words = " ".join(f"--assume {one}" for one in assumed)
    assert f"or go on: mnist-bench verify {words})" in told.err
    shown = " ".join(told.out.split())
    assert "What is wrong with onnxruntime" in shown
    assert "It is this: " in shown
    options = [word for one in assumed for word in ("--assume", one)]
    assert run(*asked, *options, "--json", "found.json") == 0, capsys.readouterr().err
    assert f", under the assumption: {', '.join(assumed)}" in " ".join(capsys.readouterr().out.split())
    record = json.loads(Path("found.json").read_bytes())
    assert record["assumed"] == list(assumed)
    assert record["diagnoses"] == []
    assert [one["failures"] for one in record["results"]] == [[], []]
    assert record["certificate"]["certified"] >= 350  # of 360: what is proved of logits is proved of the rest
    assert all(one["beyond_bound"] == 0 for one in record["results"])


def test_dropout_that_is_still_on_is_said(light: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (*QUICK, "--out", light.parent, "--model", made(light, training_mode), "--runtime", "onnxruntime")
    assert run(*asked, "--json", "-") == 1
    told = capsys.readouterr()
    assert (
        "its answers change from one time to the next: dropout is still on, as in training (export it in eval"
        in told.err
    )
    (found,) = json.loads(told.out)["diagnoses"]
    assert [one["name"] for one in found["hypotheses"] if one["holds"]] == ["dropout still on"]
    results = json.loads(told.out)["results"]
    assert [one["failures"][0].partition(":")[0] for one in results] == 2 * [
        "its answers change from one time to the next"
    ]


def test_the_weights_of_another_run_are_told_by_its_name(
    light: Path, digits: data.Dataset, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(light, Path("exports") / light.name)
    train_digits(Path("exports/another-one"), digits, epochs=1, seed=7)
    (Path("exports") / "broken").mkdir()
    Path("exports/broken/run.json").write_text("{")
    asked = (*QUICK, "-q", "--run", "another-one", "--model", made(light), "--runtime", "onnxruntime")
    assert run(*asked) == 1
    assert f"it has the weights of run {light.name} (compare it with that run (--run), or" in capsys.readouterr().err


def test_what_nothing_explains_is_told_so(light: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def larger(model: onnx.ModelProto) -> None:
        for one in model.graph.initializer:
            if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 2:
                one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * np.float32(1.01), one.name))

    asked = (*QUICK, "--out", light.parent, "--model", made(light, larger), "--runtime", "onnxruntime")
    assert run(*asked) == 1
    told = capsys.readouterr()
    assert "Nothing that usually is wrong explains it." in " ".join(told.out.split())
    assert "this is not this network in float32" in told.err


def test_what_is_assumed_must_be_so(light: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--out", light.parent, "--model", made(light), "--runtime", "onnxruntime")
    assert run(*QUICK, "-q", *asked, "--assume", "bytes") == 1
    assert "it wants pixels in [0, 1]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--assume", "sigmoid"), "--assume 'sigmoid' is not one of softmax, log-softmax, unit, bytes"),
        (("--assume", "softmax", "--assume", "log-softmax"), "contradicts, or repeats, one before (softmax)"),
        (("--assume", "permuted:1,2"), "permuted:1,2 is not an order of classes"),
        (("--assume", "softmax", "--cpu", "haswell"), "leave out --cpu"),
    ],
)
def test_what_cannot_be_assumed_is_one_line(
    arguments: tuple[str, ...], words: str, light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*QUICK, "-q", "--out", light.parent, *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_run_s_own_files_are_verified_under_an_assumption_that_the_record_and_the_page_show(
    light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(light, Path("exports") / light.name))
    asked = (*QUICK, "-q", "--runtime", "torch-eager")
    assert run(*asked, "--assume", "softmax") == 1
    failed = store.load(folder, ParityRecord)
    assert failed
    assert failed.assumed == ("softmax",)
    assert failed.blind is None
    cause = failed.diagnoses[0].cause
    assert cause
    assert cause.name == "logits after all"
    options = report.ViewOptions()
    page = render_page(report.Material([store.load_record(folder)], comparisons=[failed]), options)
    assert "under the assumption: softmax" in page
    assert "What is wrong with torch-eager" in page
    assert cause.says in page
    assert run("report", "--table", "diagnosis") == 0
    assert "logits after all" in capsys.readouterr().out
    assert run(*asked) == 0
    assert json.loads(unsealed((folder / "parity.json").read_bytes()))["assumed"] == []
    assert run("report", "--table", "diagnosis") == 0
    assert "nothing to show" in capsys.readouterr().out
