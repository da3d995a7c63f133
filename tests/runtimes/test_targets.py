"""What is particular to a target; that all of them give the reference's answers is tested where all are."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench import data, environment, formats, runtimes, store
from mnist_bench.core import plugins, process
from mnist_bench.core.errors import BadInput, DeviceUnavailable, EnvironmentProblem, ModelRefused
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Manifest, ParityRecord
from mnist_bench.parity import _reference as reference
from mnist_bench.parity._int8 import certify_steps
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._steps import steps_of
from mnist_bench.runtimes import _contract, scikit_learn
from tests.conftest import Run
from tests.parity.int8_kernels import Way, answer

F32 = np.float32
EXTRAS = {name: module for name in runtimes.names() if (module := getattr(runtimes.load(name), "EXTRA", None))}
PRESENT = {*runtimes.names()} - ({"executorch"} if sys.version_info >= (3, 12) else set())
"""What the tests' own dependencies bring: 0.7 GB of ExecuTorch for one interpreter alone."""


def opened(folder: Path, name: str, precision: Precision = "fp32", computed: Precision | None = None) -> Any:
    """Return a runtime with the model and the configuration that it is to be opened with."""
    module, manifest = runtimes.load(name), store.load(folder, Manifest)
    assert manifest
    (entry,) = [one for one in manifest.artifacts if (one.format, one.precision) == (module.FORMAT, precision)]
    model = runtimes.Model(store.contents(folder, entry), entry.format, precision, "relu", entry.batch)
    return module, model, runtimes.Spec(precision=computed or precision)


def answers(folder: Path, name: str, images: NDArray[F32], precision: Precision = "fp32") -> NDArray[F32]:
    module, model, spec = opened(folder, name, precision)
    with module.open(model, spec) as session:
        return np.asarray(session.run(images))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="not all of them have wheels for it")
def test_all_that_can_be_here_is_here() -> None:
    missing = {name: runtimes.load(name).why_unavailable() for name in PRESENT}
    assert {name: why for name, why in missing.items() if why} == {}
    assert len(PRESENT - {"null"}) >= 14


@pytest.mark.skipif("MNIST_BENCH_PROGRAMS" not in os.environ, reason="only .ci/run says what must be there")
def test_programs_that_targets_need_are_here() -> None:
    wanted = os.environ["MNIST_BENCH_PROGRAMS"].split()
    assert [name for name in wanted if not shutil.which(name)] == []
    assert shutil.which("chromium") or shutil.which("google-chrome")


# C


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_source_is_c99_without_a_warning(precision: Precision, exported: Path, tmp_path: Path) -> None:
    source = exported / formats.file_name("c", precision)
    words = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wmissing-prototypes", "-Werror", "-O1")
    subprocess.run(["cc", *words, "-c", str(source), "-o", str(tmp_path / "model.o")], check=True)
    code = source.read_text(encoding="utf-8")
    assert set(re.findall(r"#include <(\w+).h>", code)) <= {"math", "stddef", "stdint"}
    flash = sum(
        {"float": 4, "int8_t": 1, "int32_t": 4}[kind] * int(np.prod([SIZES[word] for word in size.split(" * ")]))
        for kind, size in re.findall(r"static const (\w+) \w+\[([^\]]+)\]", code)
    )
    assert f"Weights: {flash:,} bytes" in code


SIZES = {"PIXELS": 784, "HIDDEN_1": 512, "HIDDEN_2": 256, "CLASSES": 10, "256": 256}


@pytest.mark.processors
def test_integers_in_c_are_those_of_the_reference(exported: Path, digits: data.Dataset) -> None:
    """A single integer that differs moves a logit by a thousandth and more; the last layer alone is one of floats."""
    random = np.random.default_rng(0)
    images = np.concatenate([data.to_input(digits.test.pixels), random.random((200, 1, 28, 28), F32)])
    steps = steps_of((exported / "model-int8.onnx").read_bytes())
    found = answers(exported, "c", images, "int8")
    expected = answer(steps, images, Way("exact", "float", "even"))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    bounds = certify_steps(steps, images).bounds
    assert (np.abs(found - bounds.logits) <= bounds.logit_bounds).all()


def test_a_compiler_that_fails_is_one_line(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -no-such-option-of-a-compiler")
    module, model, spec = opened(exported, "c")
    with pytest.raises(EnvironmentProblem, match=r"cc failed: .*no-such-option.*set CC"), module.open(model, spec):
        pass
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(EnvironmentProblem, match="/bin/false failed: exit code 1: set CC"):
        module.version()
    monkeypatch.setenv("CC", '"')
    assert "CC cannot be read: No closing quotation" in str(module.why_unavailable())
    assert module.version() == "no compiler"
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setenv("CFLAGS", '"')
    with pytest.raises(EnvironmentProblem, match="CFLAGS cannot be read"), module.open(model, spec):
        pass
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install gcc" in str(module.why_unavailable())


# scikit-learn


def test_a_classifier_predicts_what_the_reference_does(exported: Path, digits: data.Dataset) -> None:
    import skops.io

    images = data.to_input(digits.test.pixels)
    classifier = skops.io.load(exported / "model.skops", trusted=list(scikit_learn.TRUSTED))
    record = store.load_record(exported)
    assert record.checkpoint
    weights = Weights.of(store.load_weights(exported, record.checkpoint.weights), "relu")
    logits = reference.logits(weights, images)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    flat = images.reshape(len(images), -1)
    np.testing.assert_allclose(classifier.predict_proba(flat), shares / shares.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(flat), logits.argmax(1))


def test_what_no_classifier_holds_is_not_read(exported: Path) -> None:
    import skops.io

    model = runtimes.Model({"model.skops": skops.io.dumps(Path("/etc"))}, "scikit-learn", "fp32", "relu")
    with pytest.raises(ModelRefused, match="which no such classifier does"), scikit_learn.open(model, runtimes.Spec()):
        pass


# Precisions that are read back


def test_openvino_lowers_what_it_is_told_to_and_says_so(exported: Path) -> None:
    module, model, spec = opened(exported, "openvino")
    with module.open(model, spec) as session:
        assert session.inspect().precision == "fp32"
    module, model, spec = opened(exported, "openvino", computed="bf16")
    with contextlib.suppress(DeviceUnavailable), module.open(model, spec) as session:
        assert session.inspect().precision == "bf16"


def test_a_precision_that_a_processor_lacks_is_skipped_and_the_rest_passes(
    own_copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verified = ("verify", "--runtime", "openvino", "--threads", 1, "--batch-size", 128)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert run(*verified) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    asked = {result.configuration.target for result in saved.results} | {one.target for one in saved.skipped}
    assert {"openvino", "openvino bf16", "openvino int8", "openvino int8-dynamic"} <= asked
    assert "openvino bf16" in {one.target for one in saved.skipped}


def test_ncnn_that_may_lower_the_precision_does_not_claim_float32(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, model, spec = opened(exported, "ncnn")
    with module.open(model, spec) as session:
        assert session.inspect().precision == "fp32"
    monkeypatch.setattr(module, "_effective", lambda network: real(turned_on(network)))
    with module.open(model, spec) as session:
        assert "use_fp16_storage" in session.inspect().precision


def turned_on(network: Any) -> Any:
    network.opt.use_fp16_storage = True
    return network


real = runtimes.load("ncnn")._effective  # type: ignore[attr-defined]


# Extras


def test_each_runtime_wants_what_its_extra_installs() -> None:
    wanted = environment.extras()
    for name, (_, distribution, oldest) in EXTRAS.items():
        assert wanted[name] == [f"{distribution}>={'.'.join(map(str, oldest))}"]
    assert requires("mnist-bench")


def test_an_extra_that_is_missing_or_too_old_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = _contract.extra("abacus", "abacus", "abacus", (1,))
    assert missing == Skipped("abacus", "it is not installed", "mnist-bench runtimes --install abacus")
    old = _contract.extra("numpy", "numpy", "numpy", (99, 1))
    assert old
    assert re.fullmatch(r"numpy \S+ is older than 99.1", old.reason)
    assert _contract.extra("numpy", "numpy", "numpy", (1, 26)) is None
    strange = _contract.extra("here", "tests", "no-such-distribution", (1,))
    assert strange
    assert "that is not of no-such-distribution" in strange.reason


def test_an_extra_is_installed_by_pip(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(process, "run", lambda command, **_: asked.append(list(command)))
    assert run("runtimes", "--install", "openvino", "--format", "csv") == 0
    assert asked[0][-2:] == ["install", "openvino>=2025.4"] or asked[0][-1] == "openvino>=2025.4"
    assert "openvino" in capsys.readouterr().out
    assert run("runtimes", "--install", "onnxruntime") == 2
    assert "nothing to install for 'onnxruntime'" in capsys.readouterr().err

    def failing(*_: object, **__: object) -> str:
        raise EnvironmentProblem("python failed: no index can be reached")

    monkeypatch.setattr(process, "run", failing)
    assert run("runtimes", "--install", "ncnn") == 3
    assert "no index can be reached" in capsys.readouterr().err


# Other distributions


def distribution(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, text: str) -> None:
    """Install a distribution with one runtime, as pip would."""
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[mnist_bench.runtimes]\nabacus = {module}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))


ABACUS = """
import contextlib

import numpy as np
import safetensors.numpy

from mnist_bench.runtimes import Effective, Session

FORMAT, DEVICES, PRECISIONS = "weights", ("cpu",), {"fp32": "fp32"}
COMPILED, LIBRARY = False, "numpy"


def why_unavailable():
    return None


def why_not_on(device):
    return None


def version():
    return np.__version__


@contextlib.contextmanager
def open(model, spec):
    w = safetensors.numpy.load(model.content)

    def run(images):
        h = images.reshape(len(images), -1)
        h = np.maximum(h @ w["fc1.weight"].T + w["fc1.bias"], np.float32(0))
        h = np.maximum(h @ w["fc2.weight"].T + w["fc2.bias"], np.float32(0))
        return h @ w["fc3.weight"].T + w["fc3.bias"]

    yield Session(run, lambda: Effective("abacus", "fp32"))
"""


def test_a_runtime_of_another_distribution_is_verified_without_a_change_here(
    own_copy: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()
    distribution(tmp_path / "site", monkeypatch, "their_abacus", ABACUS)
    assert "abacus" in runtimes.names()
    assert run("verify", "--runtime", "abacus", "--threads", 1, "--batch-size", 128) == 0
    assert " abacus    passed" in capsys.readouterr().out


ENDING, EMPTY, HALF = "import sys; sys.exit(9)", "", "FORMAT = 'onnx'"


@pytest.mark.parametrize(("text", "reason"), [(ENDING, "SystemExit"), (EMPTY, "it lacks FOR"), (HALF, "it lacks DEV")])
def test_one_that_ends_us_or_is_no_runtime_harms_no_other(
    text: str,
    reason: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "site").mkdir()
    distribution(tmp_path / "site", monkeypatch, f"theirs_{len(text)}", text)  # of a name that was never imported
    assert run("runtimes", "--format", "csv") == 0
    assert reason in capsys.readouterr().out


def test_a_host_that_cannot_be_imported_harms_no_other(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = EntryPoint("zz", "module_that_is_not_there", "mnist_bench.hosts")
    # What is remembered of the path is put aside: a test before may have read it, and none after may find this.
    monkeypatch.setattr(plugins, "_entry_points", lambda group, _: {"zz": entry} if group == entry.group else {})
    assert run("hosts", "--format", "csv") == 0
    assert "zz,none,this machine,,,no: it cannot be imported: ModuleNotFoundError" in capsys.readouterr().out
    assert run("verify", "--host", "zz") == 2


def test_one_that_cannot_be_imported_harms_no_other(
    own_copy: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()
    distribution(tmp_path / "site", monkeypatch, "their_broken", "raise RuntimeError('no licence\\x1b[2J')")
    assert run("runtimes", "--format", "csv") == 0
    out = capsys.readouterr().out
    assert "no: it cannot be imported: RuntimeError: no licence" in out
    assert "\x1b" not in out
    assert "mend or remove their" in out
    assert run("verify", "--runtime", "torch-eager", "--threads", 1, "--batch-size", 128, "-q") == 0
    assert run("verify", "--runtime", "abacus", "-q") == 3
    with pytest.raises(BadInput):
        runtimes.load("their_broken")
