"""Every runtime keeps the contract; one more is one more file, whatever it depends on and however it computes."""

import sys
from pathlib import Path

import pytest

from mnist_bench import runtimes, store
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.types import ParityRecord
from mnist_bench.runtimes import (
    Runtime,
    aotinductor,
    c,
    executorch,
    litert,
    ncnn,
    null,
    onnx_reference,
    onnxruntime,
    openvino,
    ort_fixed,
    ort_runtime,
    scikit_learn,
    torch_compile,
    torch_eager,
    torch_export,
    torchscript,
)
from tests.conftest import Plugins, Run

CHECKED_BY_MYPY: tuple[Runtime, ...] = (
    *(aotinductor, null, onnx_reference, onnxruntime),
    *(torch_compile, torch_eager, torch_export, torchscript),
    *(c, executorch, litert, ncnn, openvino, ort_fixed, ort_runtime, scikit_learn),
)


@pytest.mark.parametrize("name", runtimes.names())
def test_every_runtime_keeps_the_contract(name: str) -> None:
    module = runtimes.load(name)
    assert module in CHECKED_BY_MYPY
    assert module.__doc__
    assert set(module.DEVICES) <= {"cpu", "cuda"}
    for missing in (module.why_unavailable(), module.why_not_on("cpu")):
        assert missing is None or isinstance(missing, Skipped)
    if not module.why_unavailable():
        assert module.version()


def test_without_a_gpu_cuda_is_skipped_with_the_remedy() -> None:
    for name in ("torch-eager", "onnxruntime"):
        skipped = runtimes.load(name).why_not_on("cuda:99")
        assert isinstance(skipped, Skipped)
        assert skipped.remedy


ABACUS = '''
    """An engine that computes in bfloat16 by itself, and in float32 where it is told to: with a library of its own."""

    import contextlib

    import numpy as np

    from mnist_bench.runtimes._contract import Effective, Session, not_installed

    FORMAT, DEVICES, PRECISIONS = "weights", ("cpu",), {"fp32": "fp32", "bf16": "fp32"}
    COMPILED, LIBRARY = False, "abacus"

    def why_unavailable():
        return not_installed("abacus")

    def why_not_on(device):
        return None

    def version():
        import abacus
        return abacus.__version__

    @contextlib.contextmanager
    def open(model, spec):
        import abacus
        engine = abacus.Engine(model.content, precision_hint=spec.precision)
        yield Session(engine, lambda: Effective("abacus", engine.effective_precision))
'''
LIBRARY = """
    import numpy as np
    import safetensors.numpy

    __version__ = "3.0"

    class Engine:
        def __init__(self, content, precision_hint):
            self.effective_precision = precision_hint
            self.weights = safetensors.numpy.load(content)
            if precision_hint == "bf16":
                self.weights = {name: self.rounded(value) for name, value in self.weights.items()}

        def rounded(self, value):
            bits = value.view(np.uint32)
            return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)

        def __call__(self, images):
            w, h = self.weights, images.reshape(len(images), -1)
            h = np.maximum(h @ w["fc1.weight"].T + w["fc1.bias"], np.float32(0))
            h = np.maximum(h @ w["fc2.weight"].T + w["fc2.bias"], np.float32(0))
            return h @ w["fc3.weight"].T + w["fc3.bias"]
"""


def test_a_runtime_with_a_library_and_a_precision_of_its_own_is_one_file(
    own_copy: Path, plugins: Plugins, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.add("runtimes", "abacus", ABACUS)
    assert run("runtimes", "--format", "csv") == 0
    assert "no: it is not installed; pip install abacus" in capsys.readouterr().out
    assert run("verify", "--runtime", "abacus") == 3
    assert "abacus cannot be used: it is not installed; pip install abacus" in capsys.readouterr().err

    installed = plugins.site / "abacus.py"
    installed.write_text("\n".join(line.removeprefix("    ") for line in LIBRARY.splitlines()), encoding="utf-8")
    monkeypatch.syspath_prepend(plugins.site)
    assert run("verify", "--runtime", "abacus", "--threads", "1", "--batch-size", "128") == 0
    assert "abacus" not in sys.modules  # an engine is for workers
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert [result.configuration.target for result in saved.results] == ["abacus", "abacus bf16"]
    exact, rounded = (result.largest_difference for result in saved.results)
    assert exact
    assert rounded
    assert exact < saved.tolerance < rounded
    assert saved.results[0].configuration.version == "3.0"
    capsys.readouterr()
    assert run("report", "--table", "runtimes", "--format", "csv") == 0
    assert "abacus bf16,passed" in capsys.readouterr().out
