"""Ctrl-C, in a notebook and in a script: it ends as KeyboardInterrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mnist_bench.core.errors import CTRL_C, Interrupted
from mnist_bench.core.events import Stop


@contextmanager
def stopping() -> Iterator[Stop]:
    """While active, the first Ctrl-C is noted, so that the step is finished and saved; a second one ends it at once.

    In other threads than the main one, to which signals come, nothing is noted.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield lambda: None
        return
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        signal.signal(number, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted[0] if noted else None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ending_as_ctrl_c(remedy: str) -> Iterator[None]:
    """Turn what a Ctrl-C has become into KeyboardInterrupt, with a note that says how to go on."""
    try:
        yield
    except Interrupted as stopped:
        if stopped.exit_code != CTRL_C:
            raise
        interrupt = KeyboardInterrupt(str(stopped))
        interrupt.add_note(remedy)
        raise interrupt from None
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(remedy)
        raise
