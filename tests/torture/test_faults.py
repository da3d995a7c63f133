"""The n-th call that changes a file fails, or the process dies there: nothing that was committed is lost."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.conftest import BENCH, EXPORT, FIGURES, PAGE, RESUME, STUDY, VERIFY, fresh
from tests.torture.harness import (
    FULL,
    Commands,
    Ended,
    assert_no_orphans,
    assert_sound,
    assert_study_sound,
    note,
    reached,
    sized,
    spread,
)

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
DIES = 0
KILLED = -9

CHEAP = {"train": RESUME, "report": PAGE, "figures": FIGURES}
COSTLY = {"export": EXPORT, "verify": VERIFY, "bench": BENCH, "study": STUDY}
"""These start processes, which import torch."""


def torture(
    commands: Commands, begun: Path, arguments: tuple[str, ...], most: int, after: Callable[[Ended, Path], None]
) -> int:
    """Let each call fail, with every error in turn, and let the process die there; look at what is left each time."""
    fresh(commands, begun)
    total = commands.calls(*arguments)
    places = spread(total, most)
    for turn, place in enumerate(places):
        for error in (*ERRORS, DIES) if len(places) == total else ((*ERRORS, DIES)[turn % (1 + len(ERRORS))],):
            exports = fresh(commands, begun)
            ended = commands.run(*arguments, variables=commands.fault(place, error, after=error == errno.ENOSPC))
            if error == DIES:
                assert ended.status in (KILLED, 3, 0), (place, ended)  # 3 where it was a child that died
            else:
                ended.assert_one_line(0, 3)
            after(ended, exports)
    return len(places) if len(places) < total else total * (1 + len(ERRORS))


@pytest.mark.parametrize("name", CHEAP if FULL else ["train", "report"])
def test_a_run_survives_every_fault_of_what_is_done_to_it(
    name: str, commands: Commands, begun: Path, uninterrupted: str
) -> None:
    def after(_ended: Ended, exports: Path) -> None:
        assert_sound(exports / "d")
        commands.run(*RESUME).assert_one_line(0)
        assert reached(exports / "d") == uninterrupted

    done = torture(commands, begun, CHEAP[name], sized(4 if name == "report" else 8, 10_000), after)
    note("faults", command=name, faults=done)


@pytest.mark.parametrize("name", COSTLY if FULL else ["export"])
def test_what_is_made_of_a_run_survives_every_fault(name: str, commands: Commands, begun: Path) -> None:
    def after(_ended: Ended, exports: Path) -> None:
        assert_sound(exports / "d")
        assert_study_sound(exports / "study-digits")
        assert_no_orphans(commands.folder)
        if name == "export":  # whichever state the manifest names can be verified
            commands.run(*VERIFY).assert_one_line(0)

    done = torture(commands, begun, COSTLY[name], sized(1, 10_000), after)
    note("faults", command=name, faults=done)


def test_a_folder_that_cannot_be_synced_loses_nothing(commands: Commands, begun: Path, uninterrupted: str) -> None:
    fresh(commands, begun)
    for place in spread(commands.calls(*RESUME, only="fsync"), sized(4, 10_000)):
        exports = fresh(commands, begun)
        ended = commands.run(*RESUME, variables=commands.fault(place, errno.EIO, only="fsync"))
        ended.assert_one_line(3)
        assert "exports/d" in ended.complaints[0]
        assert_sound(exports / "d")
        commands.run(*RESUME).assert_one_line(0)
        assert reached(exports / "d") == uninterrupted
