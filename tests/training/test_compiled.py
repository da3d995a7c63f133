"""The step in C: made once, checked before it is used, and done without where it cannot be made."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_bench import environment, training
from mnist_bench.core import digest, places, scratch
from mnist_bench.training.engines import _compiled, eager, sparse

needs_compiler = pytest.mark.skipif(
    _compiled.no_compiler("sparse") is not None, reason=str(_compiled.no_compiler("sparse"))
)


CHANGED = (
    'for a; do case $a in *.c) sed "{}" "$a" > "$0.c"; a=$0.c;; esac; shift; set -- "$@" "$a"; done; exec $CC "$@"'
)
"""A compiler that translates something else."""


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder that is empty, and a process that has compiled nothing; yields where libraries are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    for cached in (sparse.why_unavailable, sparse._library):
        cached.cache_clear()
    yield places.cache_folder() / "compiled"
    for cached in (sparse.why_unavailable, sparse._library):
        cached.cache_clear()


def compiler(folder: Path, script: str) -> str:
    """Make a compiler of a shell script, which has the real one as $CC."""
    real = _compiled.compiler()
    assert real
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\nCC='{' '.join(real)}'\n{script}\n")
    path.chmod(0o755)
    return str(path)


def passed_over() -> str:
    """Return why the engine is not used, which must be a single line; the next one is."""
    chosen = training.default_engine("cpu")
    (reason,) = (one for one in chosen.passed_over if one.startswith("sparse: "))
    assert chosen.engine != "sparse"
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("activation", sparse.ANSWERS)
def test_the_known_answer_is_that_of_a_plain_autograd_loop(activation: str) -> None:
    found = sparse.small_training(eager.create, activation)  # type: ignore[arg-type]
    assert found == pytest.approx(sparse.ANSWERS[activation], rel=sparse.NEAR / 10)  # type: ignore[index]


def test_without_a_compiler_the_next_engine_serves(anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert passed_over().startswith("sparse: there is no C compiler; install gcc")
    assert not anew.exists()


@needs_compiler
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no room: internal error' >&2; exit 1", "no room: internal error"),
        ("exit 0", "No such file"),
        ('for a; do case $p in -o) echo hello > "$a";; esac; p=$a; done', "too short"),
        (CHANGED.format("s/0.999;/0.99;/"), "computes something else"),
        (CHANGED.format("s/Team team = {/__builtin_trap(); Team team = {/"), "killed by SIG"),
        ('exec $CC "$@" -lnowhere', "cannot find -lnowhere"),
        (CHANGED.format("s/MOST_THREADS, sizeof/2, sizeof/"), "another layout"),
        (CHANGED.format("s/^const int64_t agreed/it agreed/"), "error: unknown type name"),
        ("kill -9 $$", "killed by SIGKILL"),
    ],
)
def test_what_a_bad_compiler_makes_is_not_used(
    script: str, words: str, anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    assert words in passed_over()
    assert not list(anew.glob("*.so"))


@needs_compiler
def test_a_compiler_that_hangs_is_stopped(anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compiled, "COMPILE_S", 1.0)
    monkeypatch.setenv("CC", compiler(tmp_path, "case $1 in --version) ;; *) sleep 600;; esac"))
    assert "1 s" in passed_over()


@needs_compiler
def test_where_nothing_can_be_kept_the_next_engine_serves(
    anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert str(tmp_path / "file") in passed_over()


def made() -> Path:
    """Have the library made where it is not; return its file."""
    _compiled.library(sparse.SOURCE, (), lambda _: None)
    return max((places.cache_folder() / "compiled").glob("*.so"), key=lambda path: path.stat().st_mtime_ns)


@needs_compiler
def test_only_what_was_made_and_kept_here_is_loaded(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made()
    content, when = first.read_bytes(), first.stat().st_mtime_ns
    assert made() == first
    assert first.stat().st_mtime_ns == when
    first.write_bytes(content[:-1])  # damaged
    assert made().stat().st_size == len(content)
    first.chmod(0o777)  # could have been written by others
    assert made().stat().st_mode & 0o777 == 0o700
    copy = anew / "copy"
    first.rename(copy)
    first.symlink_to(copy)
    assert not made().is_symlink()


@needs_compiler
def test_what_it_depends_on_is_in_its_name(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made()
    monkeypatch.setattr(_compiled, "FLAGS", (*_compiled.FLAGS, "-g"))
    second = made()
    monkeypatch.setattr(_compiled, "processor_identity", lambda: ("another", "processor"))
    assert len({first, second, made()}) == 3
    for old in anew.glob("*.so"):
        os.utime(old, (0, 0))
    monkeypatch.setattr(_compiled, "processor_identity", lambda: ("a third", "one"))
    last = made()
    assert list(anew.glob("*.so")) == [last]  # what is old goes


@needs_compiler
def test_what_cannot_be_loaded_here_is_made_again(anew: Path) -> None:
    """A library that needs a newer libc, say, in a home that machines share."""
    content = b"no library"
    first = made()
    stem = first.stem.rpartition("-")[0]
    first.unlink()
    (anew / f"{stem}-{digest.sha256(content)}.so").write_bytes(content)
    (anew / f"{stem}-{digest.sha256(content)}.so").chmod(0o700)
    assert made().name == first.name


@needs_compiler
def test_where_nothing_may_be_executed_the_next_engine_serves(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "executes_nothing", lambda _: True)
    assert "may be executed (noexec)" in passed_over()


@pytest.mark.parametrize(("command", "words"), [("gcc '", "CC cannot be read"), ("/nowhere/cc", "there is no C")])
def test_a_compiler_that_is_none(command: str, words: str, anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", command)
    assert words in passed_over()
    assert not anew.exists()


@needs_compiler
def test_a_compiler_is_found_from_where_one_is(anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(tmp_path, 'exec $CC "$@"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "./compiler")
    assert made().exists()


@needs_compiler
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction sets are those of x86-64")
@pytest.mark.parametrize(("level", "needs"), [("x86-64", "sse2"), ("x86-64-v3", "avx2")])
def test_code_for_other_processors_gives_the_known_answer(
    level: str, needs: str, anew: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if needs == "avx2" and needs not in environment.collect().instructions:
        pytest.skip(f"this processor has no {needs}")
    monkeypatch.setattr(_compiled, "NATIVE", f"-march={level}")
    assert sparse.why_unavailable() is None


@needs_compiler
def test_two_processes_at_once_make_one_library(anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, f'[ "$1" = --version ] || echo once >> {tmp_path}/log; exec $CC "$@"'))
    code = "from mnist_bench.training.engines import sparse; print(sparse.why_unavailable())"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(2)]
    assert [one.communicate(timeout=200)[0].strip() for one in both] == ["None", "None"]
    assert (tmp_path / "log").read_text() == "once\n"
    assert len(list(anew.glob("*.so"))) == 1
    assert not list(anew.glob(f"{_compiled.UNFINISHED}*"))
