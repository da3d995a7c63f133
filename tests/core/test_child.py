import os
import sys
import time
from pathlib import Path

import pytest

from mnist_bench.core import child
from mnist_bench.core.errors import BadInput

HERE = "tests.core.test_child"


def double(number: int) -> int:
    print("libraries print what they like")  # noqa: T201
    return 2 * number


def refuse() -> None:
    raise BadInput("not this one")


def stumble() -> None:
    raise KeyError("lost")


def crash() -> None:
    os.kill(os.getpid(), 11)


def leave() -> None:
    sys.stderr.write("last words\n")
    os._exit(5)


def hang(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def devour() -> int:
    return len(bytearray(8 * 1024**3))


def call(name: str, *, limit_s: float = 60, memory: int | None = None, **argument: object) -> object:
    return child.call(f"{HERE}:{name}", argument, time_limit_s=limit_s, memory_limit_bytes=memory, died_exit_code=2)


def test_a_result_comes_back_whatever_is_printed() -> None:
    assert call("double", number=21) == 42


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("refuse", "^not this one$", 2),
        ("stumble", "KeyError: 'lost'", 70),
        ("crash", "killed by SIGSEGV", 2),
        ("leave", "ended with status 5: last words", 2),
    ],
)
def test_a_failure_becomes_one_error(name: str, words: str, code: int) -> None:
    with pytest.raises(child.ChildFailed, match=words) as failed:
        call(name)
    assert failed.value.exit_code == code


def test_a_process_that_hangs_is_stopped_and_gone(tmp_path: Path) -> None:
    with pytest.raises(child.ChildFailed, match="longer than 12 s") as failed:
        call("hang", limit_s=12, path=str(tmp_path / "pid"))
    assert failed.value.exit_code == 2
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_memory_is_limited() -> None:
    with pytest.raises(child.ChildFailed, match="ran out of the memory") as failed:
        call("devour", memory=1024**3)
    assert failed.value.exit_code == 3
