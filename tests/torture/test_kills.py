"""Processes are killed, or interrupted, at any time: what was saved is whole, and nothing is left behind."""

import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.torture.conftest import BENCH, EXPORT, PAGE, RESUME, STUDY, VERIFY, fresh
from tests.torture.harness import (
    FULL,
    SIGNALS,
    Commands,
    assert_no_orphans,
    assert_sound,
    assert_study_sound,
    note,
    reached,
    sized,
)

LONG = {
    "train": RESUME,
    "export": EXPORT,
    "verify": VERIFY,
    "bench": BENCH,
    "study": STUDY,
    "run": ("run", "--quick", "--dataset", "digits", "--epochs", "2", "--run", "d", "--allow-busy", "-q"),
    "report": PAGE,
}
CHEAP = ["train", "report"]
"""These start no process that imports torch: a sample of them costs little."""
SEED = 0


def lasted(commands: Commands, begun: Path, arguments: Sequence[str]) -> float:
    fresh(commands, begun)
    ended = commands.run(*arguments)
    ended.assert_one_line(0)
    return ended.took_s


def clean(commands: Commands, exports: Path) -> None:
    """Assert that nothing is left of a command that ended, in the runs or among the processes."""
    assert_no_orphans(commands.folder)
    assert_sound(exports / "d")
    assert_study_sound(exports / "study-digits")


@pytest.mark.parametrize("name", LONG if FULL else CHEAP)
def test_kills(name: str, commands: Commands, begun: Path, uninterrupted: str) -> None:
    took_s, drawn = lasted(commands, begun, LONG[name]), random.Random(SEED)
    kills = sized(6, 45)
    for _ in range(kills):
        exports = fresh(commands, begun)
        ended = commands.run(*LONG[name], kill=[(signal.SIGKILL, drawn.uniform(0, took_s))])
        assert ended.status in (-signal.SIGKILL, 0), ended
        clean(commands, exports)
        if name in CHEAP:
            commands.run(*RESUME).assert_one_line(0)
            assert reached(exports / "d") == uninterrupted
    scratch_is_swept(commands, begun)
    note("kills", command=name, kills=kills)


def scratch_is_swept(commands: Commands, begun: Path) -> None:
    """Assert that the next command removes the temporary folders of those that were killed."""
    fresh(commands, begun)
    commands.run(*VERIFY).assert_one_line(0)
    assert_nothing_in_scratch(commands)


@pytest.mark.parametrize("name", LONG if FULL else CHEAP)
def test_signals(name: str, commands: Commands, begun: Path) -> None:
    took_s, drawn = lasted(commands, begun, LONG[name]), random.Random(SEED)
    times = sized(4, 100 if name in CHEAP else 50)
    for number, status in SIGNALS.items():
        for _ in range(times):
            exports = fresh(commands, begun)
            ended = commands.run(*LONG[name], kill=[(number, drawn.uniform(0, took_s))])
            ended.assert_one_line(0, status)
            clean(commands, exports)
            assert_nothing_in_scratch(commands)
    note("signals", command=name, signals=2 * times)


@pytest.mark.parametrize("name", ["train", "verify"] if FULL else ["train"])
def test_a_second_ctrl_c_ends_at_once(name: str, commands: Commands, begun: Path) -> None:
    took_s, drawn = lasted(commands, begun, LONG[name]), random.Random(SEED)
    for _ in range(sized(3, 100)):
        exports = fresh(commands, begun)
        first = drawn.uniform(0, took_s)
        ended = commands.run(*LONG[name], kill=[(signal.SIGINT, first), (signal.SIGINT, drawn.uniform(0, 0.1))])
        assert ended.status in (0, 130), ended
        assert "Traceback" not in ended.err, ended.err
        clean(commands, exports)


def assert_nothing_in_scratch(commands: Commands) -> None:
    left = [path.name for path in (commands.folder.parent / "tmp").glob("mnist-bench-scratch-*")]
    assert not left, left
