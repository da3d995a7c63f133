"""The pytest plug-in, in sessions of pytest of their own: what a user's tests see."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

BUDGET = {"mnist_bench", "mnist_bench.pytest_plugin"}


def imported_by(code: str) -> set[str]:
    """Return what a line of Python imports beside pytest."""
    lines = (
        f"import json, sys, pytest; before = set(sys.modules); {code}; print(json.dumps([*set(sys.modules) - before]))"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_plug_in_imports_nothing_but_pytest() -> None:
    assert imported_by("import mnist_bench.pytest_plugin") == BUDGET
    assert not imported_by("import mnist_bench.core.types") <= BUDGET


@pytest.fixture
def user(pytester: pytest.Pytester, light: Path) -> pytest.Pytester:
    """A user's project: the model that they deploy, and the run that it is of."""
    models, runs = pytester.mkdir("models"), pytester.mkdir("runs")
    shutil.copytree(light, runs / "digits-relu")
    shutil.copy(light / "model.onnx", models / "good.onnx")
    model = onnx.load(light / "model.onnx")
    bias = next(weight for weight in model.graph.initializer if list(weight.dims) == [10])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 50
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, models / "other.onnx")
    return pytester


def outcome(user: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    user.makepyfile(test)
    return user.runpytest_subprocess("-W", "error", "--strict-markers", "--strict-config", *options, timeout=200)


FAST = "runtimes=('onnxruntime',), dataset='digits'"


def test_a_model_is_compared_with_a_run_and_with_itself(user: pytest.Pytester) -> None:
    found = outcome(
        user,
        f"""
        import pytest

        @pytest.mark.parity("models/good.onnx", run="runs/digits-relu", {FAST})
        def test_of_the_run(parity):
            assert parity.name == "digits-relu"
            assert {{one.configuration.batch_size for one in parity.results}} == {{1, 128}}
            assert not any(one.failures for one in parity.results)

        @pytest.mark.parity("models/other.onnx", dataset="digits", batch_sizes=128)
        def test_of_its_own_network_in_all_that_opens_the_file(parity):
            assert parity.certificate.images == 360
            assert {{one.configuration.runtime for one in parity.results}} >= {{"onnxruntime", "onnx-reference"}}
            assert {{one.configuration.format for one in parity.results}} == {{"onnx"}}

        @pytest.mark.parity("models/other.onnx", run="runs/digits-relu", {FAST})
        def test_of_other_weights():
            raise AssertionError("the body must not run")
        """,
    )
    found.assert_outcomes(passed=2, failed=1)
    text = found.stdout.str()
    assert "models/other.onnx does not give the reference's answers" in text
    assert "onnxruntime: batch 128, 1 thread: " in text
    assert "the body must not run" not in text
    assert "Traceback" not in text


def test_of_several_markers_each_is_checked_and_the_words_are_as_one_writes_them(user: pytest.Pytester) -> None:
    settings = "run='runs/digits-relu', runtimes='onnxruntime', dataset='digits', batch_sizes=(128,)"
    found = outcome(
        user,
        f"""
        import pytest

        @pytest.mark.parity(model="models/other.onnx", {settings})
        @pytest.mark.parity("models/good.onnx", {settings})
        def test_both(parity):
            raise AssertionError("the body must not run")
        """,
    )
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["models/other.onnx does not give the reference's answers"])
    assert "the body must not run" not in found.stdout.str()


BAD = {
    "'nowhere.onnx', dataset='digits'": "nowhere.onnx could not be verified: *nowhere.onnx*",
    "'models/good.onnx', run='runs/none'": "models/good.onnx could not be verified: no run 'none' *",
    "'models/good.onnx', dataset='digits', runtimes=('abacus',)": "models/good.onnx could not be verified: *abacus*",
    "'models/good.onnx', tolerence=1": "@pytest.mark.parity: *tolerence*; it is parity(model, *",
    "'models/good.onnx', dataset='digits', threads=(0,)": "models/good.onnx could not be verified: threads must be *",
    "'models/good.onnx', dataset='digits', batch_sizes=1.5": "models/good.onnx could not be verified: batch_sizes *",
    "'models/good.onnx', dataset='digits', batch_sizes=[[1]]": "models/good.onnx could not be verified: batch_sizes *",
    "'models/good.onnx', dataset='digits', runtimes=None": "models/good.onnx could not be verified: runtimes must be *",
    "": "@pytest.mark.parity: *model*",
    "model='nothing.onnx', dataset='digits'": "nothing.onnx could not be verified: *nothing.onnx*",
}


def test_what_cannot_be_verified_fails_in_one_line(user: pytest.Pytester) -> None:
    tests = [f"@pytest.mark.parity({given})\ndef test_{n}():\n    pass\n" for n, given in enumerate(BAD)]
    found = outcome(user, "import pytest\n" + "".join(tests))
    found.assert_outcomes(failed=len(BAD))
    found.stdout.fnmatch_lines([*BAD.values()])
    assert "During handling" not in found.stdout.str()


def test_the_fixture_wants_the_marker(pytester: pytest.Pytester) -> None:
    found = outcome(pytester, "def test_model(parity):\n    pass\n")
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*add @pytest.mark.parity(MODEL)*"])


def test_paths_are_of_the_root_wherever_pytest_is_started_and_tests_run_side_by_side(user: pytest.Pytester) -> None:
    below = user.mkdir("below")
    marked = f"@pytest.mark.parity('models/good.onnx', run='runs/digits-relu', {FAST})"
    tests = "".join(f"{marked}\ndef test_{name}():\n    pass\n" for name in "ab")
    (below / "test_marked.py").write_text(f"import pytest\n{tests}", encoding="utf-8")
    user.makeini("[pytest]")
    user.chdir()
    found = user.runpytest_subprocess("below", "-n", "2", "-W", "error", "--strict-markers", timeout=200)
    found.assert_outcomes(passed=2)


def test_sessions_without_the_marker_import_none_of_it(pytester: pytest.Pytester) -> None:
    found = outcome(
        pytester,
        """
        import sys

        def test_nothing():
            assert "mnist_bench.pytest_plugin" in sys.modules
            assert not {"torch", "numpy", "onnx", "msgspec", "mnist_bench.core"} & set(sys.modules)
        """,
    )
    found.assert_outcomes(passed=1)
    assert pytester.runpytest_subprocess("--markers", timeout=60).stdout.str().count("@pytest.mark.parity(model") == 1
    off = pytester.runpytest_subprocess("--markers", "-p", "no:mnist_bench", timeout=60).stdout.str()
    assert "parity" not in off
