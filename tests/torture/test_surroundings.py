"""Machines that lack something: a full disk, a closed stdout, a home, a folder for temporary files that is of use."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_bench.core import scratch
from tests.conftest import heeds_ctrl_c
from tests.torture.harness import FULL, START, note, sized

QUICK = ("--batch-size", "128", "--threads", "1", "-q")
VERIFY = ("verify", "--runtime", "onnxruntime", *QUICK)


def ended(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [*START, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=250
    )


def assert_line(done: "subprocess.CompletedProcess[str]", status: int, *words: str) -> None:
    assert done.returncode == status, done
    assert done.stderr.count("\n") == 1, done.stderr
    for word in ("mnist-bench: ", *words):
        assert word in done.stderr
    assert "bug:" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", ["--version", "--help", "report --run digits-relu", "report --html", "bad"])
def test_a_full_stdout_is_a_line_and_exit_3(command: str, own_copy: Path, tmp_path: Path) -> None:
    line = f"{' '.join(START)} {command} > /dev/full"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == (2 if command == "bad" else 3), done
    assert done.stderr.count("\n") == 1
    assert "bug" not in done.stderr
    assert own_copy.is_dir()


@pytest.mark.parametrize("command", ["--version", "--help", "report --run digits-relu", "report --format json", ""])
def test_a_reader_that_has_read_enough_is_no_error(command: str, own_copy: Path, tmp_path: Path) -> None:
    line = f"{' '.join(START)} {command} | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == ("0" if command else "2")
    assert not done.stderr if command else done.stderr
    assert own_copy.is_dir()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"][0 if FULL else 3 :])
def test_what_is_closed_is_not_written_to(closed: str, own_copy: Path, tmp_path: Path) -> None:
    line = f"{' '.join([*START, *VERIFY])} {closed} && {' '.join(START)} report --html {closed}"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done
    assert (own_copy / "report.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("path", ["nowhere/x.json", "exports", "/proc/x.json"])
def test_json_that_cannot_be_written_is_refused_before_the_work(path: str, own_copy: Path, tmp_path: Path) -> None:
    before = (own_copy / "run.json").stat().st_mtime_ns
    assert_line(ended(tmp_path, *VERIFY, "--json", path), 3 if path != "exports" else 2, path)
    assert not (own_copy / "parity.json").exists()
    assert (own_copy / "run.json").stat().st_mtime_ns == before


NO_HOME = """
import os, pwd
def unknown(_):
    raise KeyError("no such user")
pwd.getpwuid = unknown
for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
"""


def test_a_user_without_a_home_can_do_all_that_needs_none(own_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_HOME)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    for arguments in (
        ("train", "--dataset", "digits", "--epochs", "1", "--run", "d", "-q"),
        ("export", "--run", "d", "--format", "onnx", "-q"),
        *([("verify", "--run", "d", "--runtime", "torch-compile", *QUICK)] if FULL else []),
    ):
        done = ended(tmp_path, *arguments, PYTHONPATH=path)
        assert (done.returncode, done.stderr) == (0, ""), done
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    done = ended(tmp_path, "train", "--dataset", "mnist", "--data-dir", str(data_dir), "-q", PYTHONPATH=path)
    assert_line(done, 3, "HOME", "XDG_CACHE_HOME")
    assert own_copy.is_dir()
    assert not (tmp_path / "~").exists()


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a disk in memory at a new folder while this lasts; skip where none may be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 KiB."""
    with mounted(tmp_path / "small", "size=200k") as place:
        yield place


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A disk on which nothing may be executed."""
    with mounted(tmp_path / "noexec", "noexec") as place:
        yield place


MORE = (
    ("export", "--format", "aotinductor", "-q"),
    ("verify", "--runtime", "aotinductor", *QUICK),
    ("export", "--format", "onnx", "--precision", "int8", "-q"),
)
OF_NO_USE = ["noexec", "a space", "small_disk"]


@pytest.mark.parametrize("place", OF_NO_USE if FULL else OF_NO_USE[:1])
def test_a_folder_for_temporary_files_that_is_of_no_use_is_not_used(
    place: str, own_copy: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if place == "a space":
        folder = tmp_path / place
        folder.mkdir()
    else:
        folder = request.getfixturevalue(place)
    for arguments in (
        ("verify", "--runtime", "torch-compile", *QUICK),
        *(MORE if FULL else ()),
    ):
        done = ended(tmp_path, *arguments, TMPDIR=str(folder))
        assert (done.returncode, done.stderr) == (0, ""), done
    assert not list(folder.iterdir())
    assert own_copy.is_dir()


def test_where_no_folder_is_of_use_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spaced = tmp_path / "a space"
    spaced.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spaced))
    monkeypatch.setattr(scratch, "OTHERS", ())
    assert "has a space" in str(scratch.why_no_place())
    assert "TMPDIR" in str(scratch.why_no_place())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not take such names")
def test_a_folder_whose_name_is_not_utf_8(own_copy: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff\xfe")
    Path(odd).mkdir()
    (tmp_path / "exports").rename(Path(odd) / "exports")
    for arguments in (
        *([("export", "--format", "onnx", "--precision", "int8", "--out", f"{odd}/exports", "-q")] if FULL else []),
        (*VERIFY, "--out", f"{odd}/exports"),
        ("report", "--html", "--out", f"{odd}/exports"),
        ("train", "--dataset", "digits", "--epochs", "1", "--run", "n", "--out", f"{odd}/exports", "-q"),
    ):
        done = ended(tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done)
    assert own_copy.name


def test_a_compiler_that_fails_is_no_wrong_answer(own_copy: Path, tmp_path: Path) -> None:
    """Nothing is known of what could not run: exit 3, and the compiler's own words."""
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'the compiler is out of order' >&2\nexit 1\n")
    broken.chmod(0o755)
    variables = {"CXX": str(broken), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    assert_line(
        ended(tmp_path, "verify", "--runtime", "torch-compile", *QUICK, **variables),
        3,
        "could not be asked",
        "g++",
    )
    assert own_copy.is_dir()


def test_a_child_that_is_killed_is_said_with_the_path(own_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys\nif 'mnist_bench.core.child' in sys.orig_argv: os.kill(os.getpid(), 9)\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = ended(tmp_path, "export", "--format", "torch-export", "-q", PYTHONPATH=path)
    assert_line(done, 3, "model.pt2", "SIGKILL")
    assert own_copy.is_dir()


OURS = re.compile('mnist_bench(?!/__main__.py", line [01],)')  # Python raises what came earlier on entering a module


def test_ctrl_c_from_the_first_moment_on(tmp_path: Path) -> None:
    """Python itself may still be starting: what it says then is its own, and names none of our files.

    Libraries swallow what is raised while they are imported; a training that did not hear of it would run to its end.
    """
    times, early = sized(6, 200), 0
    for number in range(times):
        started = subprocess.Popen(
            [*START, "train", "--dataset", "digits", "--epochs", "200", "--overwrite", "-q"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_ctrl_c,  # noqa: PLW1509 nothing else runs between fork and exec
        )
        time.sleep(0.02 + 0.8 * number / times)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
        if "Traceback" in err and not OURS.search(err):
            early += 1
            continue
        assert "Traceback" not in err, (number, err)
        assert started.returncode in (130, -signal.SIGINT), (number, err)
    assert early < times // 2
    note("ctrl-c at the start", times=times, before_our_first_line=early)


MATPLOTLIBRC = {"tex": b"text.usetex: True\n", "not UTF-8": b"\xff\xfe", "a pipe": None}


@pytest.mark.parametrize("what", MATPLOTLIBRC)
def test_settings_of_matplotlib_in_the_user_s_folder_are_not_obeyed(what: str, own_copy: Path, tmp_path: Path) -> None:
    content = MATPLOTLIBRC[what]
    if content is None:
        os.mkfifo(tmp_path / "matplotlibrc")
    else:
        (tmp_path / "matplotlibrc").write_bytes(content)
    done = ended(tmp_path, "report", "--figures", MPLBACKEND="nothing")
    assert (done.returncode, done.stderr) == (0, "")
    assert list((own_copy / "figures").glob("*.svg"))


@pytest.mark.parametrize(("limit", "words"), [("-f 200", "too large"), ("-v 1500000", "memory")])
def test_what_the_system_limits_is_no_bug(limit: str, words: str, own_copy: Path, tmp_path: Path) -> None:
    command = f"ulimit {limit}; {' '.join(START)} export --run {own_copy.name} --format onnx -q"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    if words == "memory" and done.returncode == 0:
        pytest.skip("the libraries of this machine need no more address space")
    assert_line(done, 3, words)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a circle", "nowhere", "a long name", "of a run"])
def test_json_is_refused_before_the_work_where_it_would_be_refused_after_it(
    kind: str, own_copy: Path, tmp_path: Path
) -> None:
    weights = next(own_copy.glob("weights-*"))
    path = {"a circle": "loop", "nowhere": "dangling", "a long name": "x" * 250, "of a run": str(weights)}[kind]
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("no-folder/x")
    before = weights.read_bytes()
    arguments = ("train", "--dataset", "digits", "--epochs", "1", "--run", "new", "--json", path, "-q")
    assert_line(ended(tmp_path, *arguments), 2 if kind == "of a run" else 3)
    assert not (tmp_path / "exports" / "new").exists()
    assert weights.read_bytes() == before


def test_what_is_written_can_be_read_whatever_the_umask(own_copy: Path, tmp_path: Path) -> None:
    command = f"umask 0777; {' '.join(START)} report --html --run {own_copy.name}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert stat.S_IMODE((own_copy / "report.html").stat().st_mode) & 0o600 == 0o600


def test_ctrl_c_that_is_to_be_ignored_is_ignored(tmp_path: Path) -> None:
    """As in the background of a script, whose foreground it is meant for."""
    command = [*START, "train", "--dataset", "digits", "--epochs", "300", "--run", "d", "-q"]
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509 nothing else runs meanwhile
    )
    deadline = time.monotonic() + 100
    while not (tmp_path / "exports" / "d" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(timeout=1)
    started.terminate()
    assert started.wait(timeout=60) == 143
