"""ONNX Runtime's answers on processors that this machine is not: emulated by QEMU, with the very same packages."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from mnist_bench import data, parity, store
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Configuration

QEMU = shutil.which("qemu-x86_64")
pytestmark = [
    pytest.mark.processors,
    pytest.mark.skipif(QEMU is None, reason="no qemu-x86_64: apt-get install qemu-user"),
]
ANSWER = """
import sys
import numpy as np
import onnxruntime
images, models = np.load(sys.argv[1]), sys.argv[2:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for model in models:
    session = onnxruntime.InferenceSession(model, options)
    np.save(model + ".npy", session.run(None, {session.get_inputs()[0].name: images})[0])
"""


def answers(processor: str, folder: Path, *models: Path) -> list[NDArray[np.float32]]:
    files = map(str, (folder / "images.npy", *models))
    command = [str(QEMU), "-cpu", processor, sys.executable, "-c", ANSWER, *files]
    subprocess.run(command, check=True, timeout=240)
    return [np.load(f"{model}.npy") for model in models]


@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_onnxruntime_gives_the_reference_s_answers_on_another_processor(
    processor: str, own_copy: Path, digits: data.Dataset
) -> None:
    record = store.load_record(own_copy)
    inputs = parity.build_inputs(digits, parity.weights_of(own_copy, record))
    np.save(own_copy / "images.npy", inputs.images)
    kinds: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-dynamic")
    models = [own_copy / ("model.onnx" if kind == "fp32" else f"model-{kind}.onnx") for kind in kinds]
    for kind, logits in zip(kinds, answers(processor, own_copy, *models), strict=True):
        configuration = Configuration(
            runtime="onnxruntime",
            version="?",
            format="onnx",
            precision=kind,
            device="cpu",
            provider=f"QEMU {processor}",
            threads=1,
            batch_size=len(inputs.images),
        )
        result = parity.result(inputs, parity.Answer(configuration, logits, kind))
        assert result.failures == (), kind
        assert kind != "fp32" or result.beyond_bound == 0


def test_a_file_that_can_saturate_does_on_a_haswell_and_ours_does_not(own_copy: Path, digits: data.Dataset) -> None:
    ours, theirs = own_copy / "model-int8.onnx", own_copy / "saturates.onnx"
    model = onnx.load(ours)
    stored = {one.name: one for one in model.graph.initializer}
    for name in ("fc1.weight_quantized", "fc2.weight_quantized"):  # twice as large, and so half as large a unit
        doubled = np.clip(2 * onnx.numpy_helper.to_array(stored[name]).astype(int), -127, 127).astype(np.int8)
        stored[name].CopyFrom(onnx.numpy_helper.from_array(doubled, name))
        unit = name.replace("quantized", "scale")
        stored[unit].CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored[unit]) / 2, unit))
    onnx.save(model, theirs)
    np.save(own_copy / "images.npy", data.to_input(digits.test.pixels))
    found = {name: answers(name, own_copy, ours, theirs) for name in ("Nehalem", "Haswell")}
    own, other = (np.abs(found["Haswell"][place] - found["Nehalem"][place]).max() for place in (0, 1))
    assert own < 1e-3
    assert other > 0.05
