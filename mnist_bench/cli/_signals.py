"""Ctrl-C and SIGTERM as a wish to stop after the current step."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], int | None]]:
    """While active, the first signal is noted and a second one ends the program at once.

    Yields:
        A function that returns the number of the signal that came, or None.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
