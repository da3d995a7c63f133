"""C++: the same files in a program that is compiled here, and in the project that a user takes with him."""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench import data, formats, hosts, parity, runtimes, store
from mnist_bench.core import cpp_project, locks
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.errors import EnvironmentProblem, RuntimeFailed, TargetUnavailable, Unsupported
from mnist_bench.core.signature import Signature
from mnist_bench.core.types import Artifact, Manifest
from mnist_bench.environment import library_version
from mnist_bench.hosts import _headers, cpp
from tests.conftest import Run
from tests.hosts.beside import makes_one_flip_matrix_with_here

pytestmark = pytest.mark.programs
MISSING = cpp._no_tools()
needs_compiler = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
CPP = hosts.Host("cpp")
HELLO = b'{"message": "hello", "protocol": 1, "runtime": "%s", "device": "cpu"}\n'


@pytest.fixture
def installed(shared: Path) -> Path:
    """What is compiled, in the cache of this test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cpp"))
        made = hosts.install("cpp", lambda _: None)
    own = cpp._place()
    own.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, own, symlinks=True)
    return own


def engines() -> tuple[str, ...]:
    found = cpp._found()
    assert isinstance(found, cpp.Built)
    return found.engines


def first_engine() -> str:
    """One that opens ONNX files."""
    found = [name for name in engines() if name != "aotinductor"]
    if not found:
        pytest.skip("neither ONNX Runtime nor OpenVINO is there for C++")
    return found[0]


def model(folder: Path, name: str = "model.onnx") -> runtimes.Model:
    return runtimes.Model({name: (folder / name).read_bytes()}, "onnx", "fp32", "relu")


@needs_compiler
def test_engines_whose_wheels_have_headers_are_built(installed: Path) -> None:
    wheels = {"openvino": "openvino", "aotinductor": "torch"}
    assert set(engines()) >= {name for name, library in wheels.items() if library_version(library)}
    assert cpp.why_unavailable() is None


@needs_compiler
def test_onnxruntime_s_headers_are_there_or_fetched(installed: Path) -> None:
    found = cpp._found()
    assert isinstance(found, cpp.Built)
    if why := found.absent.get("onnxruntime"):
        pytest.skip(why)
    assert [str(path.readlink()) for path in installed.glob("libonnxruntime.so*")] == list(found.links.values())


@needs_compiler
def test_every_engine_gives_the_reference_s_answers(installed: Path, exported: Path, digits: data.Dataset) -> None:
    plan = parity.Plan(batch_sizes=(1, 128), threads=(1, 2), on=(CPP,))
    found = parity.verify(exported, digits, plan, lambda _: None)
    assert {result.failures for result in found.results} == {()}
    told = {result.configuration.target.removesuffix(" on cpp") for result in found.results} - {"openvino bf16"}
    manifest = store.load(exported, Manifest)
    assert manifest
    stored = {entry.format for entry in manifest.artifacts}
    assert told == {
        f"{name} {precision}".removesuffix(" fp32")
        for name in engines()
        if runtimes.load(name).FORMAT in stored
        for precision in runtimes.load(name).PRECISIONS.values()
    }


@needs_compiler
def test_this_machine_and_cpp_make_one_flip_matrix(installed: Path, own_copy: Path, run: Run) -> None:
    makes_one_flip_matrix_with_here("cpp", first_engine(), own_copy, run)


@needs_compiler
def test_cpp_is_timed_by_a_clock_of_its_own(
    installed: Path, own_copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_bench.cli._bench.QUICK_BLOCKS", 1)
    name = first_engine()
    words = ("--host", "cpp", "--runtime", name, "--threads", "1", "--batch-size", "1,7", "--precision", "fp32")
    assert run("bench", "--quick", "--allow-busy", *words) == 0
    saved = store.load(own_copy, InferenceBenchRecord)
    assert saved
    rows = {row.configuration.batch_size: row for row in saved.rows if row.configuration.target == f"{name} on cpp"}
    (sample,) = rows[7].samples
    assert min(sample.times_s) > 1e-7
    (sample,) = rows[1].samples
    assert sample.load_s
    assert sample.peak_resident_bytes


@needs_compiler
@pytest.mark.parametrize(("count", "batch"), [(1, 1), (10, 4), (3, 8), (8, 4)])
def test_batches_are_filled_up_and_answered_in_order(
    count: int, batch: int, installed: Path, light: Path, digits: data.Dataset
) -> None:
    images = data.to_input(digits.test.pixels[:count])
    with hosts.started(hosts.launch(CPP), None, hosts.Limits(60)) as worker:
        worker.greet(first_engine())
        worker.open(model(light), runtimes.Spec())
        logits = worker.run(images, batch)
        timing = hosts.Timing(batch_size=batch, calls=5, warm_up_calls=2, warm_up_s=0.0, answers=count)
        timed = worker.time(images, timing)
        np.testing.assert_allclose(worker.run(images[::-1].copy(), batch)[::-1], logits, atol=1e-4)
    assert logits.shape == (count, 10)
    assert timed.logits is not None
    assert timed.warm_up_calls == 2
    np.testing.assert_allclose(timed.logits, logits, atol=1e-4)


@needs_compiler
def test_a_worker_in_cpp_says_what_it_cannot_do_and_goes_on(installed: Path, light: Path) -> None:
    broken = runtimes.Model({"model.onnx": b"no onnx"}, "onnx", "fp32", "relu")
    images = np.zeros((2, 1, 28, 28), np.float32)
    with hosts.started(hosts.launch(CPP), None, hosts.Limits(60)) as worker:
        name = first_engine()
        with pytest.raises(TargetUnavailable, match="built without abacus"):
            worker.greet("abacus")
        with pytest.raises(TargetUnavailable, match="on a CPU alone"):
            worker.greet(name, "cuda:0")
        worker.greet(name)
        with pytest.raises(RuntimeFailed):
            worker.open(broken, runtimes.Spec())
        with pytest.raises(RuntimeFailed, match="no model is open"):
            worker.run(images, 1)
        with pytest.raises(Unsupported, match="no message 'layers'"):
            worker.layers(images, 1)
        with pytest.raises(Unsupported, match="and the model takes others"):
            worker.open(dataclasses.replace(model(light), signature=Signature(shape=(784,))), runtimes.Spec())
        worker.open(model(light), runtimes.Spec())
        with pytest.raises(RuntimeFailed, match="at least one image"):
            worker.run(images, 0)
        with pytest.raises(RuntimeFailed, match=r"float32 \(n, 1, 28, 28\)"):
            worker.run(images.astype(np.float64), 1)
        assert worker.run(images.copy(), 1).shape == (2, 10)


NO_MESSAGES = {
    b"{}\n": "no text where one should be",
    b"hello\n": "no JSON",
    b'{"message": "open",}\n': "no JSON",
    b'{"message": "open"} x\n': "no JSON",
    b'{"message": "\\ud800"}\n': "no JSON",
    b'{"message": "\\udc00"}\n': "no JSON",
    b'{"message": "open", "threads": 01}\n': "no JSON",
    b'{"message": "open", "threads": 1.e5}\n': "no JSON",
    b'{"message": "open", "threads": .5}\n': "no JSON",
    b'{"message": "open", "threads": -}\n': "no JSON",
    b'{"message": "open", "threads": 1e999}\n': "no JSON",
    b"[" * 100_000 + b"\n": "no JSON",
    b" " * (2**20 + 1) + b"\n": "too long",
    b'{"message": "open"': "ended within a message",
    b'{"message": "run", "arrays": [{"name": "images", "dtype": "float32", "shape": [2]}]}\n1234567': "within an array",
    b'{"message": "run", "arrays": [{"name": "images", "dtype": "float33", "shape": [2]}]}\n': "unknown dtype",
    b'{"message": "run", "arrays": [{"name": "images", "dtype": "int8", "shape": [-1]}]}\n': "no whole number",
    b'{"message": "run", "arrays": [{"name": "images", "dtype": "int8", "shape": [4294967296, 9]}]}\n': "larger",
    b'{"message": "run", "arrays": [{"name": "images", "dtype": "int8", "shape": [2e10]}]}\n': "no whole number",
    b'{"message": "run", "arrays": [{"name": "images"}]}\n': "no text",
    b'{"message": "run", "arrays": 3}\n': "no array",
}


def told(place: Path, sent: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = [str(place / "classify"), "--protocol"]
    return subprocess.run(command, input=sent, capture_output=True, timeout=60, check=False)


@needs_compiler
@pytest.mark.parametrize(("sent", "words"), NO_MESSAGES.items(), ids=range(len(NO_MESSAGES)))
def test_what_is_no_message_ends_the_program_with_one_line(sent: bytes, words: str, installed: Path) -> None:
    done = told(installed, sent)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


@needs_compiler
def test_the_end_of_stdin_is_the_end(installed: Path) -> None:
    done = told(installed, HELLO % first_engine().encode())
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["hello", "closed"]


# The command line


def idx(values: NDArray[np.uint8]) -> bytes:
    return np.array([0x00000800 + values.ndim, *values.shape], ">u4").tobytes() + values.tobytes()


def written(path: Path, values: NDArray[np.uint8]) -> Path:
    """Write an IDX file."""
    path.write_bytes(idx(values))
    return path


def classify(program: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [str(word) for word in (program / "classify", *words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@needs_compiler
def test_idx_files_are_read_and_the_accuracy_is_ours(
    installed: Path, light: Path, digits: data.Dataset, tmp_path: Path
) -> None:
    images, labels = written(tmp_path / "images", digits.test.pixels), written(tmp_path / "labels", digits.test.labels)
    words = ("--images", images, "--model", light / "model.onnx", "--engine", first_engine(), "--batch-size", 100)
    predicted = np.array(classify(installed, *words).stdout.split(), int)
    with runtimes.load("onnxruntime").open(model(light), runtimes.Spec()) as session:
        expected = session.run(data.to_input(digits.test.pixels)).argmax(1)
    np.testing.assert_array_equal(predicted, expected)
    right, count = int((expected == digits.test.labels).sum()), len(expected)
    assert classify(installed, *words, "--labels", labels).stdout.startswith(f"{right} of {count} right: ")


THREE = np.zeros((3, 28, 28), np.uint8)
BAD_IMAGES = {
    idx(THREE[0]): "holds no images in IDX",
    idx(np.zeros((3, 14, 56), np.uint8)): "of another size than 28 x 28",
    idx(THREE)[:-1]: "says that it holds 3 images, and has 2351 bytes",
    idx(THREE) + b"?": "says that it holds 3 images, and has 2353 bytes",
    idx(THREE)[:15]: "holds no images in IDX",
    idx(THREE[:0]): "is empty",
    b"": "holds no images in IDX",
    b"\x1f\x8b\x08\x00": "gunzip it first",
    None: "is no file",
}


@needs_compiler
@pytest.mark.parametrize(("content", "words"), BAD_IMAGES.items(), ids=range(len(BAD_IMAGES)))
def test_bad_images_are_one_line_and_exit_code_1(
    content: bytes | None, words: str, installed: Path, light: Path, tmp_path: Path
) -> None:
    path = tmp_path / "images"
    path.mkdir() if content is None else path.write_bytes(content)
    done = classify(installed, "--images", path, "--model", light / "model.onnx")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert words in done.stderr


@needs_compiler
def test_labels_that_do_not_fit_are_told(installed: Path, light: Path, tmp_path: Path) -> None:
    images = written(tmp_path / "images", THREE)
    words = ("--images", images, "--model", light / "model.onnx", "--labels")
    for labels, why in (
        (np.zeros(2, np.uint8), "2 labels for 3 images"),
        (np.full(3, 10, np.uint8), "labels above 9"),
    ):
        done = classify(installed, *words, written(tmp_path / "labels", labels))
        assert done.returncode == 1
        assert why in done.stderr


@needs_compiler
@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ((), 2, "name --images"),
        (("--images",), 2, "wants a value"),
        (("--pictures", "x"), 2, "there is no --pictures"),
        (("--images", "x", "--threads", "0"), 2, "a number from 1"),
        (("--images", "x", "--batch-size", "1e3"), 2, "a number from 1"),
        (("--images", "images", "--engine", "abacus"), 1, "built without abacus"),
        (("--images", "images", "--model", "none"), 1, "none is no file"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    words: tuple[str, ...], code: int, why: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "images", THREE)
    done = classify(installed, *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert why in done.stderr


# The project


@needs_compiler
def test_an_exported_project_builds_as_its_readme_says(
    light: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not library_version("openvino"):
        pytest.skip("OpenVINO, the engine that compiles fast, is not installed")
    run = Path(shutil.copytree(light, tmp_path / "runs of mine" / "digits-relu"))
    artifact = formats.export(run, store.load_record(run), "cpp")
    assert isinstance(artifact, Artifact)
    project = run / artifact.name
    assert (project / "model.onnx").read_bytes() == (run / "model.onnx").read_bytes()
    readme = (project / "README.md").read_text(encoding="utf-8")
    (line,) = [one for one in readme.splitlines() if one.startswith("cmake -B build")]
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LIBTORCH_ROOT", "/nowhere")  # it takes most of the time
    said = ""
    for command in line.split("&&"):
        built = subprocess.run(shlex.split(command), cwd=project, capture_output=True, text=True, check=False)
        assert not built.returncode, built.stderr
        assert "warning" not in built.stderr
        said += built.stdout
    assert "Left out, since not found: " in said
    assert "aotinductor (pip install torch, or -DLIBTORCH_ROOT=)" in said
    monkeypatch.chdir(project)
    images, labels = written(tmp_path / "images", digits.test.pixels), written(tmp_path / "labels", digits.test.labels)
    done = classify(Path("build"), "--images", images, "--labels", labels, "--engine", "openvino")
    right, count = (int(word) for word in done.stdout.split()[:3:2])
    assert count == len(digits.test.labels)
    assert right > 0.9 * count


@needs_compiler
def test_a_project_that_finds_no_engine_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONNXRUNTIME_ROOT", "OPENVINO_ROOT", "LIBTORCH_ROOT"):
        monkeypatch.setenv(name, "/nowhere")
    nothing = ("-DPython3_EXECUTABLE=/nowhere", "-DONNXRUNTIME_HEADERS=", "-DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON")
    command = ("cmake", "-S", str(cpp_project.FOLDER), "-B", str(tmp_path / "build"), *nothing)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    said = " ".join(done.stderr.split())
    assert "No engine is there. Any of these will do: onnxruntime (apt-get install libonnxruntime-dev" in said


def test_the_project_names_no_place_and_lists_its_files() -> None:
    files = cpp_project.files()
    lint = (Path(__file__).parents[2] / "tox.ini").read_text(encoding="utf-8")
    assert [name for name in files if name.endswith((".h", ".cpp")) and f"_cpp_project/{name}" not in lint] == []
    for name, content in files.items():
        for word in (b"/home/", b"/opt/", b"/usr/", b"/tmp/"):
            assert word not in content, name


# What goes wrong


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder / name


def without(folder: Path, name: str) -> Path:
    """Make a folder of links to all programs but one."""
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for path in Path(place).glob("*"):
            (folder / path.name).unlink(missing_ok=True)
            if path.name != name:
                (folder / path.name).symlink_to(path)
    return folder


def nothing_is_left() -> bool:
    return not [path for path in cpp._place().parent.glob("*") if path.is_dir()]


def test_without_cmake_or_a_compiler_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CXX", raising=False)
    assert "there is no CMake; install it (apt-get install cmake g++ make)" in str(cpp.why_unavailable())
    assert run("hosts", "--install", "cpp") == 3
    assert "there is no CMake" in capsys.readouterr().err
    program(tmp_path / "bin", "cmake", "exit 1")
    assert "there is no make" in str(cpp.why_unavailable())
    program(tmp_path / "bin", "make", "exit 1")
    assert "there is no C++ compiler" in str(cpp.why_unavailable())
    monkeypatch.setenv("CXX", "g++ 'x")
    assert "CXX cannot be read" in str(cpp.why_unavailable())
    monkeypatch.setenv("CXX", str(program(tmp_path / "bin", "mine", "exit 1")))
    assert "has not been built; mnist-bench hosts --install cpp" in str(cpp.why_unavailable())


@needs_compiler
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "cxx failed: its process ended with status 1"),
        ("echo 'cxx: error: no licence' >&2; exit 3", "cxx: error: no licence"),
        ("exit 0", "makes no program"),
        ("sleep 60", "took longer than 0.5 s"),
    ],
)
def test_a_compiler_that_fails_or_hangs_is_one_line_and_exit_code_3(
    script: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CXX", str(program(tmp_path / "bin", "cxx", script)))
    if "sleep" in script:
        monkeypatch.setattr(cpp, "PROBE_S", 0.5)
    assert run("hosts", "--install", "cpp") == 3
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert nothing_is_left()


@needs_compiler
def test_a_compiler_that_fails_for_every_engine_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = 'case "$*" in *engine_*) echo "engine.cpp:1: error: too new" >&2; exit 1;; esac'
    monkeypatch.setenv("CXX", str(program(tmp_path / "bin", "cxx", f'{fails}; exec {cpp._compiler()[0]} "$@"')))
    monkeypatch.setenv("PATH", f"{without(tmp_path / 'path', 'apt-get')}")
    assert run("hosts", "--install", "cpp") == 3
    said = capsys.readouterr().err.splitlines()
    assert "compiling with aotinductor" in said
    assert "aotinductor: cmake failed: its process ended with status 2: engine.cpp:1: error: too new" in said[-1]
    assert nothing_is_left()


@pytest.fixture
def fake_cmake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CMake that finds no engine."""
    program(tmp_path / "bin", "cmake", 'echo "-- Engines: "')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def nothing(_folder: Path) -> Path:
        raise EnvironmentProblem("there is no apt-get to fetch it with")

    monkeypatch.setattr(_headers, "fetch", nothing)


@needs_compiler
def test_without_headers_each_engine_says_why(fake_cmake: None, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("hosts", "--install", "cpp", "-q") == 3
    err = capsys.readouterr().err
    assert "onnxruntime: its headers are not there: apt-get install libonnxruntime-dev, or set ONNXRUNTIME_ROOT" in err
    assert "they cannot be fetched: there is no apt-get" in err
    assert "aotinductor: LibTorch is not there: pip install torch" in err
    assert nothing_is_left()


def test_headers_are_fetched_on_debian_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(EnvironmentProblem, match="there is no apt-get"):
        _headers.fetch(tmp_path)
    program(tmp_path / "bin", "dpkg-deb", "exit 1")
    program(tmp_path / "bin", "apt-get", "exit 0")
    with pytest.raises(EnvironmentProblem, match="no mirror of Debian"):
        _headers.fetch(tmp_path)


@needs_compiler
def test_a_cache_that_cannot_be_used_is_one_line_and_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    place = cpp._place().parent
    place.mkdir(parents=True)
    monkeypatch.setattr(cpp, "LOCK_S", 0.1)
    with locks.exclusive(place / ".lock", 1):
        assert run("hosts", "--install", "cpp") == 3
    assert "another process has been building" in capsys.readouterr().err
    monkeypatch.setattr("mnist_bench.core.scratch.executes_nothing", lambda _: True)
    assert run("hosts", "--install", "cpp") == 3
    assert "may be executed (noexec): set XDG_CACHE_HOME" in capsys.readouterr().err
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run("hosts", "--install", "cpp") == 3
    err = capsys.readouterr().err
    assert "set XDG_CACHE_HOME to another folder" in err
    assert err.count("\n") == 1
    assert "set XDG_CACHE_HOME" in str(cpp.why_unavailable())


@needs_compiler
def test_what_was_built_and_is_damaged_is_not_started(
    installed: Path, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "classify").write_bytes(b"another")
    os.utime(installed / "built.json", ns=(0, 1))  # looked at once a process
    assert "classify is another file; mnist-bench hosts --install cpp" in str(cpp.why_unavailable())
    assert run("verify", "--host", "cpp", "-q") == 3
    assert capsys.readouterr().err.count("\n") == 1
    (installed / "built.json").write_text("{}", encoding="utf-8")
    assert "is damaged: built.json: " in str(cpp.why_unavailable())


@needs_compiler
def test_an_engine_that_was_left_out_is_a_row_and_harms_no_other(
    installed: Path, own_copy: Path, digits: data.Dataset, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = first_engine()
    found = cpp._found()
    assert isinstance(found, cpp.Built)
    absent = {name: "its compiler failed" for name in cpp.RUNTIMES if name != kept}
    files = {name: digest for name, digest in found.files.items() if not any(one in name for one in absent)}
    for name in found.files.keys() - files.keys():
        (installed / name).unlink()
    changed = msgspec.structs.replace(found, engines=(kept,), absent=absent, files=files)
    (installed / "built.json").write_bytes(msgspec.json.encode(changed))
    plan = parity.Plan(batch_sizes=(128,), threads=(1,), on=(CPP,))
    verified = parity.verify(own_copy, digits, plan, lambda _: None)
    told = {one.target: one for one in verified.skipped}
    assert told["aotinductor on cpp"].reason == "its compiler failed"
    assert f"{kept} on cpp" in {result.configuration.target for result in verified.results}
    assert run("verify", "--host", "cpp", "--runtime", "aotinductor", "-q") == 3
    assert "aotinductor on cpp cannot be used: its compiler failed" in capsys.readouterr().err
