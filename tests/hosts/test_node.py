"""ONNX Runtime in Node: the same files, another language, the same answers."""

import os
import shutil
from pathlib import Path

import pytest

from mnist_bench import data, hosts, store
from mnist_bench.core import npm, process
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.errors import TargetUnavailable
from mnist_bench.core.types import ParityRecord
from mnist_bench.hosts import node
from tests.conftest import Run
from tests.hosts.beside import gives_the_reference_s_answers, makes_one_flip_matrix_with_here
from tests.packages import needs_npm, put_into_cache

pytestmark = pytest.mark.programs


@pytest.fixture
def installed(shared: Path) -> Path:
    """What npm fetches, in the cache of this test."""
    return put_into_cache(node.PACKAGE, shared)


@needs_npm
def test_node_gives_the_reference_s_answers(installed: Path, light: Path, digits: data.Dataset) -> None:
    found = gives_the_reference_s_answers("node", light, digits)
    assert {result.configuration.provider for result in found.results} == {"CPUExecutionProvider of Node"}


@needs_npm
def test_this_machine_and_node_make_one_flip_matrix(installed: Path, own_copy: Path, run: Run) -> None:
    makes_one_flip_matrix_with_here("node", "onnxruntime", own_copy, run)


@needs_npm
def test_node_is_timed_by_a_clock_of_its_own(
    installed: Path, own_copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_bench.cli._bench.QUICK_BLOCKS", 1)
    words = ("--host", "node", "--host", "here", "--runtime", "onnxruntime", "--threads", "1", "--batch-size", "1,7")
    assert run("bench", "--quick", "--allow-busy", *words) == 0
    saved = store.load(own_copy, InferenceBenchRecord)
    assert saved
    rows = {row.configuration.target: row for row in saved.rows if row.configuration.batch_size == 7}
    assert {"onnxruntime", "onnxruntime on node"} <= rows.keys()
    (sample,) = rows["onnxruntime on node"].samples
    assert min(sample.times_s) > 1e-7
    assert sample.peak_resident_bytes


@needs_npm
def test_a_worker_in_javascript_says_what_it_cannot_do_and_goes_on(installed: Path, light: Path) -> None:
    from mnist_bench import runtimes
    from mnist_bench.core.errors import RuntimeFailed

    broken = runtimes.Model({"model.onnx": b"no onnx"}, "onnx", "fp32", "relu")
    with hosts.started(hosts.launch(hosts.Host("node")), None, hosts.Limits(60)) as worker:
        worker.greet("onnxruntime")
        with pytest.raises(RuntimeFailed):
            worker.open(broken, runtimes.Spec())
        assert worker.greet("onnxruntime").version


def test_without_node_or_its_package_the_remedy_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "apt-get install nodejs" in str(node.why_unavailable())
    with pytest.raises(TargetUnavailable, match="there is no npm"):
        node.install(lambda _: None)
    for name in ("node", "npm"):
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\necho 'npm error: no registry' >&2; exit 1\n", encoding="utf-8")
        program.chmod(0o755)
    assert "mnist-bench hosts --install node" in str(node.why_unavailable())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    assert run("hosts", "--install", "node") == 3
    assert "npm failed: " in capsys.readouterr().err
    assert not list(node.PACKAGE.place().parent.glob("*/node_modules"))


def test_packages_run_no_scripts_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(process, "run", lambda command, **_: asked.append(tuple(command)))
    node.install(lambda _: None)
    assert "--ignore-scripts" in asked[0]
    assert (node.PACKAGE.place() / "worker.mjs").read_bytes() == node.SOURCE.read_bytes()


@needs_npm
def test_what_npm_fetched_is_used_as_it_was_fetched_or_not_at_all(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = node.PACKAGE.place()
    shutil.copytree(installed.resolve(), own)
    assert node.why_unavailable() is None
    library = own / "node_modules" / "onnxruntime-node" / "package.json"
    content = library.read_bytes()
    for damage in (lambda: library.write_bytes(content[:-1]), library.unlink):
        damage()
        assert f"onnxruntime-node in {own} is damaged" in str(node.why_unavailable())
        assert "mnist-bench hosts --install node" in str(node.why_unavailable())
    library.write_bytes(content)
    assert node.why_unavailable() is None
    (own / npm.LISTED).write_text("[]", encoding="utf-8")
    assert "is damaged (files.json" in str(node.why_unavailable())


@needs_npm
def test_node_is_asked_for_what_it_has_alone(installed: Path, own_copy: Path, run: Run) -> None:
    words = ("--runtime", "onnxruntime", "--runtime", "torch-eager", "--threads", 1, "--batch-size", 128, "--quiet")
    assert run("verify", "--host", "here", "--host", "node", *words) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    asked = {(one.configuration.runtime, one.configuration.host) for one in saved.results}
    assert asked == {("onnxruntime", ""), ("onnxruntime", "node"), ("torch-eager", "")}
    assert run("verify", "--host", "node", "--runtime", "torch-eager") == 2


@needs_npm
def test_what_is_installed_beside_python_takes_part_unless_something_is_named(
    installed: Path, own_copy: Path, run: Run
) -> None:
    assert hosts.Host("node") in hosts.everywhere()
    assert hosts.everywhere("cuda:0") == (hosts.HERE,)
    words = ("--threads", 1, "--batch-size", 128, "--quiet")
    assert run("verify", *words) == 0
    everything = store.load(own_copy, ParityRecord)
    (own_copy / "parity.json").unlink()  # what is known would stay
    assert run("verify", "--runtime", "onnxruntime", *words) == 0
    one = store.load(own_copy, ParityRecord)
    assert everything
    assert one
    assert {result.configuration.host for result in everything.results} == {"", "node"}
    assert {result.configuration.host for result in one.results} == {""}


def test_node_is_listed_and_installed_with_the_runtimes(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(node, "install", lambda _tell: asked.append("node"))
    assert run("runtimes", "--format", "csv", "--install", "node") == 0
    assert asked == ["node"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("onnxruntime on node,")]
    assert "mnist-bench hosts --install node" in line or "apt-get install nodejs" in line
    assert run("runtimes", "--install", "frob") == 2
    assert "executorch, " in (told := capsys.readouterr().err)
    assert "node" in told
