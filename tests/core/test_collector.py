"""A garbage collector that looks less often still collects; one that is dismissed has nothing left to look at."""

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from mnist_bench.core import collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


class Circle:
    def __init__(self) -> None:
        self.own = self


def test_what_is_garbage_is_still_collected() -> None:
    collector.spare()
    left = weakref.ref(Circle())
    kept = [[] for _ in range(3 * collector.OBJECTS)]  # type: ignore[var-annotated]
    assert left() is None
    assert kept


def test_what_there_is_at_the_end_is_looked_at_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    collector.dismiss()
    assert gc.get_freeze_count() == 0  # it would complain on the screen
    monkeypatch.delitem(sys.modules, "triton")
    collector.dismiss()
    assert gc.get_freeze_count() > 1_000
