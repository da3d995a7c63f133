"""A tracker that fails is dropped with a word; it never stops a training."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from mnist_bench.core import plugins
from mnist_bench.core.errors import TargetUnavailable
from mnist_bench.core.events import Event


class Tracker(Protocol):
    """Logs a training."""

    def on_event(self, event: Event) -> None:
        """Log what has happened; what is none of its business is passed over."""

    def close(self) -> None:
        """No more will come, now."""


class Guarded:
    """Passes events on to a tracker, until the tracker fails."""

    def __init__(self, name: str, create: Callable[[], Tracker], complain: Callable[[str], None]) -> None:
        self._name, self._complain = name, complain
        self._tracker: Tracker | None = None
        self._tell(lambda: setattr(self, "_tracker", create()))

    def on_event(self, event: Event) -> None:
        """See `Tracker`."""
        if self._tracker is not None:
            self._tell(partial(self._tracker.on_event, event))

    def close(self) -> None:
        """See `Tracker`."""
        if self._tracker is not None:
            self._tell(self._tracker.close)

    def _tell(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 whatever another tool raises
            failed, self._tracker = self._tracker, None
            with contextlib.suppress(Exception):  # so that it does not stand as running for ever
                if failed is not None:
                    failed.close()
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._complain(f"{self._name} no longer tracks this run ({reason}); training goes on")


@contextlib.contextmanager
def track(names: Sequence[str], folder: Path, complain: Callable[[str], None]) -> Iterator[list[Guarded]]:
    """Open some trackers for the run in a folder, and close them at the end.

    Args:
        names: the trackers.
        folder: the run's folder.
        complain: is told, in a line, of a tracker that fails.
    """
    opened = [Guarded(name, lambda name=name: _module(name).create(folder), complain) for name in dict.fromkeys(names)]  # type: ignore[misc]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def _module(name: str) -> Any:
    import mnist_bench.tracking as here

    return plugins.load(here, name)


def check_installed(names: Sequence[str]) -> None:
    """Raise where a tracker is asked for that is not here.

    Raises:
        BadInput: there is no such tracker.
        TargetUnavailable: it is not installed.
    """
    for name in names:
        if skipped := _module(name).why_unavailable():
            raise TargetUnavailable(str(skipped))
