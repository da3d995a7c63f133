import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from mnist_bench.core import child, process
from mnist_bench.core.errors import BadInput

HERE = "tests.core.test_child"


class Number(Struct):
    value: float


class Text(Struct):
    value: str


def double(number: Number) -> Number:
    print("libraries print what they like")  # noqa: T201
    return Number(2 * number.value)


def refuse(_: Number) -> None:
    raise BadInput("not this one")


def stumble(_: Number) -> None:
    raise KeyError("lost")


def crash(_: Number) -> None:
    os.kill(os.getpid(), 11)


def leave(_: Number) -> None:
    sys.stderr.write("last words\n")
    os._exit(5)


def hang(path: Text) -> None:
    Path(path.value).write_text(str(os.getpid()))
    time.sleep(600)


def devour(_: Number) -> Number:
    return Number(len(bytearray(8 * 1024**3)))


@pytest.fixture(autouse=True)
def found_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children look for modules where they are installed, not in the folder where they run."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


def call(
    name: str, request: Struct | None = None, *, limit_s: float = 60, memory: int | None = None, result: Any = Number
) -> Any:
    asked = request or Number(21)
    return child.call(
        f"{HERE}:{name}", asked, result, time_limit_s=limit_s, memory_limit_bytes=memory, died_exit_code=2
    )


def test_a_result_comes_back_whatever_is_printed() -> None:
    assert call("double") == Number(42)


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("refuse", "^not this one$", 2),
        ("stumble", "KeyError: 'lost'", 70),
        ("no_such_function", "has no attribute 'no_such_function'", 70),
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
        call("hang", Text(str(tmp_path / "pid")), limit_s=12)
    assert failed.value.exit_code == 2
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_every_end_of_a_process_can_be_told() -> None:
    assert process.epitaph(-9, "a\nb\n") == "its process was killed by SIGKILL: b"
    assert process.epitaph(-40, "") == "its process was killed by signal 40: without a word"
    assert process.epitaph(3, "") == "its process ended with status 3: without a word"


def test_a_request_or_a_result_of_another_type_is_refused() -> None:
    with pytest.raises(child.ChildFailed, match=r"Expected `float`, got `str` - at `\$\.value`") as failed:
        call("double", Text("many"))
    assert failed.value.exit_code == 70
    with pytest.raises(child.ChildFailed, match=r"answered .* Expected `str`, got `float`") as failed:
        call("double", result=Text)
    assert failed.value.exit_code == 70


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_memory_is_limited() -> None:
    with pytest.raises(child.ChildFailed, match="ran out of the memory") as failed:
        call("devour", memory=1024**3)
    assert failed.value.exit_code == 3
