"""ONNX Runtime's answers on processors that this machine is not: emulated by QEMU, with the very same packages."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from mnist_bench import data, hosts, parity, runtimes
from tests.conftest import Run

MISSING = hosts.load("haswell").why_unavailable()
pytestmark = [
    pytest.mark.processors,
    pytest.mark.programs,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]


@pytest.mark.parametrize("processor", ["nehalem", "haswell"])
def test_onnxruntime_gives_the_reference_s_answers_on_another_processor(
    processor: str, exported: Path, digits: data.Dataset
) -> None:
    plan = parity.Plan(batch_sizes=(128,), on=(hosts.Host(processor),))
    found = parity.verify(exported, digits, plan, lambda _: None)
    assert [result.failures for result in found.results] == [()] * 4
    assert found.unreachable == found.skipped == ()
    targets = {result.configuration.target for result in found.results}
    kinds = ("onnxruntime", "onnxruntime fp16", "onnxruntime int8", "onnxruntime int8-dynamic")
    assert targets == {f"{kind} on {processor}" for kind in kinds}


def answers(processor: str, content: bytes, images: NDArray[np.float32]) -> NDArray[np.float32]:
    model = runtimes.Model({"model.onnx": content}, "onnx", "int8", "relu")
    with hosts.started(hosts.launch(hosts.Host(processor)), None, hosts.Limits(120)) as worker:
        worker.greet("onnxruntime")
        worker.open(model, runtimes.Spec(precision="int8"))
        return np.asarray(worker.run(images, len(images)), np.float32)


def test_a_file_that_can_saturate_does_on_a_haswell_and_ours_does_not(exported: Path, digits: data.Dataset) -> None:
    ours = (exported / "model-int8.onnx").read_bytes()
    model = onnx.load_model_from_string(ours)
    stored = {one.name: one for one in model.graph.initializer}
    for name in ("fc1.weight_quantized", "fc2.weight_quantized"):  # twice as large, and so half as large a unit
        doubled = np.clip(2 * onnx.numpy_helper.to_array(stored[name]).astype(int), -127, 127).astype(np.int8)
        stored[name].CopyFrom(onnx.numpy_helper.from_array(doubled, name))
        unit = name.replace("quantized", "scale")
        stored[unit].CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored[unit]) / 2, unit))
    images = data.to_input(digits.test.pixels)
    own, other = (
        np.abs(answers("haswell", content, images) - answers("nehalem", content, images)).max()
        for content in (ours, model.SerializeToString())
    )
    assert own < 1e-3
    assert other > 0.05


def test_an_emulated_processor_is_verified_and_never_timed(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "--quick", "--allow-busy", "--host", "haswell") == 2
    assert "haswell is emulated, so its times mean nothing" in capsys.readouterr().err
