"""ONNX Runtime in a real browser without a window: the same files, the same answers, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mnist_bench import data, hosts, runtimes, store
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.errors import BadInput, EnvironmentProblem, RuntimeFailed, TargetUnavailable, Unreachable
from mnist_bench.core.npm import LISTED, ONNXRUNTIME_WEB
from mnist_bench.hosts import browser
from tests.browsers import needs_chromium
from tests.conftest import Run
from tests.hosts.beside import gives_the_reference_s_answers
from tests.packages import needs_npm, put_into_cache
from tests.processes import words_of

pytestmark = pytest.mark.programs
BROWSER = hosts.Host("browser")


@pytest.fixture
def installed(shared: Path) -> Path:
    """What npm fetches, in the cache of this test."""
    return put_into_cache(ONNXRUNTIME_WEB, shared)


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in the place of the browser, and files in that of the package."""
    place = ONNXRUNTIME_WEB.place()
    place.mkdir(parents=True)
    for name in ONNXRUNTIME_WEB.files:
        (place / name).touch()
    (place / LISTED).write_text(json.dumps(dict.fromkeys(ONNXRUNTIME_WEB.files, 0)), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def write(script: str) -> None:
        program = tmp_path / "bin" / "chromium"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    return write


@needs_chromium
@needs_npm
def test_a_browser_gives_the_reference_s_answers(installed: Path, light: Path, digits: data.Dataset) -> None:
    found = gives_the_reference_s_answers("browser", light, digits)
    providers = {(result.configuration.threads, result.configuration.provider) for result in found.results}
    assert providers == {(1, "wasm SIMD, 1 thread"), (2, "wasm SIMD, 2 threads")}


@needs_chromium
@needs_npm
def test_a_browser_is_timed_by_a_clock_of_its_own(
    installed: Path, own_copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_bench.cli._bench.QUICK_BLOCKS", 1)
    words = ("--host", "browser", "--host", "here", "--runtime", "onnxruntime", "--threads", "1", "--batch-size", "1,7")
    assert run("bench", "--quick", "--allow-busy", *words) == 0
    saved = store.load(own_copy, InferenceBenchRecord)
    assert saved
    rows = {(row.configuration.target, row.configuration.batch_size): row for row in saved.rows}
    (sample,) = rows["onnxruntime on browser", 1].samples
    assert min(sample.times_s) > 1e-7
    assert len(set(sample.times_s)) > 20  # single calls would be multiples of the 5 µs in which its clock moves
    assert sample.peak_resident_bytes
    assert ("onnxruntime", 7) in rows


@needs_chromium
@needs_npm
def test_a_worker_in_a_browser_says_what_it_cannot_do_and_goes_on(installed: Path) -> None:
    broken = runtimes.Model({"model.onnx": b"no onnx"}, "onnx", "fp32", "relu")
    with hosts.started(hosts.launch(BROWSER), None, hosts.Limits(120)) as worker:
        worker.greet("onnxruntime")
        with pytest.raises(RuntimeFailed):
            worker.open(broken, runtimes.Spec())
        assert worker.greet("onnxruntime").version == ONNXRUNTIME_WEB.version


@needs_chromium
@needs_npm
@pytest.mark.parametrize("how", ["closed", "killed", "orphaned"])
def test_nothing_is_left_of_a_browser(how: str, installed: Path, tmp_path: Path) -> None:
    """Also when the process that asks is killed, and can do nothing about it any more."""
    code = (
        "import sys; from mnist_bench import hosts\n"
        "with hosts.started(hosts.launch(hosts.Host('browser')), None, hosts.Limits(120)) as worker:\n"
        "    worker.greet('onnxruntime'); print('ready', flush=True); sys.stdin.readline()\n"
        "    if sys.argv[1] == 'killed': worker.kill()\n"
    )
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    command = [sys.executable, "-c", code, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as asking:
        assert asking.stdout
        assert asking.stdout.readline() == b"ready\n"
        below = psutil.Process(asking.pid).children(recursive=True)
        assert [one for one in below if "--type=renderer" in words_of(one)]
        assert list((tmp_path / "scratch").glob("*/browser/profile"))
        if how == "orphaned":
            asking.kill()
        asking.communicate(b"go on\n")
    assert psutil.wait_procs(below, timeout=30)[1] == []
    if how != "orphaned":  # else the next one sweeps it
        assert not list((tmp_path / "scratch").glob("mnist-bench-scratch-*"))


@needs_chromium
@needs_npm
def test_a_page_whose_process_dies_is_told_at_once(installed: Path) -> None:
    with hosts.started(hosts.launch(BROWSER), None, hosts.Limits(120)) as worker:
        page = worker.greet("onnxruntime").pid
        assert page
        os.kill(page, signal.SIGKILL)
        with pytest.raises(Unreachable, match="the page's process has ended"):
            worker.greet("onnxruntime")


def test_a_browser_that_ends_says_why(
    pretended: Callable[[str], None], light: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pretended("echo 'cannot open display' >&2; exit 1")
    words = ("--runtime", "onnxruntime", "--threads", 1, "--batch-size", 128, "--quiet", "--out", light.parent)
    assert run("verify", "--run", light.name, "--host", "browser", *words) == 3
    err = capsys.readouterr().err
    assert "the browser has ended: its process ended with status 1: cannot open display" in err
    assert "--headless=new --dump-dom about:blank" in err


def test_a_browser_that_hangs_is_not_waited_for(
    pretended: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended("sleep 1000")
    monkeypatch.setattr(browser, "READY_S", 1.0)
    with (
        pytest.raises(Unreachable, match="has not opened the page within 1 s"),
        hosts.started(hosts.launch(BROWSER), None, hosts.Limits(200)) as worker,
    ):
        worker.greet("onnxruntime")


def test_without_a_browser_or_its_package_the_remedy_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], light: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "apt-get install chromium" in str(browser.why_unavailable())
    assert run("verify", "--out", light.parent, "--run", light.name, "--host", "browser") == 3
    assert "there is no Chromium, Chrome or Edge; install it" in capsys.readouterr().err
    with pytest.raises(TargetUnavailable, match="browser cannot be installed: there is no npm"):
        browser.install(lambda _: None)
    program = tmp_path / "bin" / "chromium"
    program.touch(mode=0o755)
    assert "mnist-bench hosts --install browser" in str(browser.why_unavailable())
    with pytest.raises(BadInput, match="takes no argument"):
        hosts.named("browser:firefox")


def test_a_package_that_lacks_a_file_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("node", "npm"):
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        program.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=r"onnxruntime-web .* came without dist/ort\.wasm\.min\.mjs"):
        browser.install(lambda _: None)
    assert [path.name for path in ONNXRUNTIME_WEB.place().parent.iterdir()] == [".lock"]
