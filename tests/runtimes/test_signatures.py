"""Runtimes open models of other signatures than ours, where they are told of them, and no others."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from onnx import TensorProto

from mnist_bench import runtimes
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.signature import OURS, Signature
from tests.importers import made

READERS = [name for name in ("onnxruntime", "openvino", "onnx-reference") if not runtimes.load(name).why_unavailable()]
FLAT = Signature(shape=(784,))
BYTES = Signature(shape=(28, 28), dtype="uint8", pixels="bytes")


def model(content: bytes, signature: Signature | None = None) -> runtimes.Model:
    return runtimes.Model({"model.onnx": content}, "onnx", "fp32", "relu", foreign=True, signature=signature)


def answers(name: str, opened: runtimes.Model) -> Any:
    signature = opened.signature or OURS
    with runtimes.load(name).open(opened, runtimes.Spec()) as session:
        assert session.inspect().precision == "fp32"
        images = signature.adapt(made.IMAGES[: session.batch])
        return session.run(cast("Any", images)), session.batch


def flat(shape: list[Any], outputs: list[Any] | None = None, kind: int = TensorProto.FLOAT, last: Any = ()) -> bytes:
    nodes, held = made.mlp()
    nodes[0] = made.node("Reshape", ["float", "shape"], "x")
    nodes.insert(0, made.node("Cast", ["image"], "float", to=TensorProto.FLOAT))
    held |= {"shape": np.array([-1, 784])}
    content: bytes = made.model([*nodes, *last], held, shape, outputs, kind=kind).SerializeToString()
    return content


@pytest.mark.parametrize("name", READERS)
def test_the_image_is_the_input_that_is_no_weight(name: str) -> None:
    logits, _ = answers(name, model(made.network(listed=True, ir_version=3)))
    np.testing.assert_allclose(logits, made.expected(made.IMAGES), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", READERS)
def test_a_signature_that_is_told_is_opened(name: str) -> None:
    label = made.node("ArgMax", ["logits"], "label", axis=1, keepdims=0)
    outputs = [made.value("label", ["n"], TensorProto.INT64), made.value("logits", ["n", 10])]
    half = made.node("Cast", ["logits"], "half", to=TensorProto.FLOAT16)
    for content, signature, tolerance in [
        (flat(["n", 784]), FLAT, 1e-3),
        (flat(["n", 784], outputs, last=[label]), Signature(shape=(784,), output="logits"), 1e-3),
        (flat([1, 784], [made.value("logits", [1, 10])]), Signature(shape=(784,), batch=1), 1e-3),
        (flat(["n", 784], [made.value("half", ["n", 10], TensorProto.FLOAT16)], last=[half]), FLAT, 1e-2),
        (flat(["n", None, None]), Signature(shape=(28, 28)), 1e-3),
    ]:
        logits, batch = answers(name, model(content, signature))
        assert logits.dtype == np.float32
        assert batch == signature.batch
        np.testing.assert_allclose(logits, made.expected(made.IMAGES[:batch]), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", READERS)
def test_bytes_come_as_bytes(name: str) -> None:
    logits, _ = answers(name, model(flat(["n", 28, 28], kind=TensorProto.UINT8), BYTES))
    pixels = np.rint(made.IMAGES * np.float32(255))
    np.testing.assert_allclose(logits, made.expected(pixels), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (
            None,
            r"another signature \(image float32 \(n, 784\), logits .*float32 \(n, 1, 28, 28\) to float32 \(n, 10\) is",
        ),
        (BYTES, r"images of uint8 \(n, 28, 28\) is needed"),
        (Signature(shape=(784,), output="other"), "another signature"),
    ],
    ids=["none", "another", "another output"],
)
def test_another_signature_than_told_is_refused(name: str, signature: Signature | None, said: str) -> None:
    with (
        pytest.raises(ModelRefused, match=said),
        runtimes.load(name).open(model(flat(["n", 784]), signature), runtimes.Spec()),
    ):
        pass


def test_a_worker_adapts_images_on_their_way(tmp_path: Path) -> None:
    from mnist_bench import hosts

    launch, limits = hosts.launch(hosts.HERE), hosts.Limits(100)
    with hosts.started(launch, None, limits) as worker:
        worker.greet("onnxruntime")
        for opened in (model(flat(["n", 784]), FLAT), model(made.network()), model(flat(["n", 784]), FLAT)):
            worker.open(opened, runtimes.Spec())
            logits = worker.run(made.IMAGES, 2)
            np.testing.assert_allclose(logits, made.expected(made.IMAGES), rtol=1e-3, atol=1e-4)
