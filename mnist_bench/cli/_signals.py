"""Ctrl-C and SIGTERM as a wish to stop after the current step."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from mnist_bench.__main__ import stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Raising:
    """A handler that raises, so that what is open is cleaned up, and remembers that it did.

    While a module is imported it ends the process at once, which loses nothing, like every kill: some libraries swallow
    whatever is raised then, and those in C++ may abort.
    """

    def __init__(self, error: Callable[[int], BaseException]) -> None:
        self._error = error
        self.came: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise, or end."""
        if _imports(frame):
            stopped(number, frame)
        self.came = number
        raise self._error(number)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported: Python's importing functions are among those that are being run."""
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def came() -> int | None:
    """Return the number of the signal for which a handler has raised, whatever became of it; None where none came."""
    handlers = (signal.getsignal(number) for number in SIGNALS)
    return next((one.came for one in handlers if isinstance(one, Raising) and one.came), None)


def without_words(found: "sys.UnraisableHookArgs") -> None:
    """Say nothing of an error of a handler's that came where none can be raised: `heed` raises it once more.

    Within `__del__`, say; Python would print a traceback.
    """
    if not (came() and isinstance(found.exc_value, (KeyboardInterrupt, SystemExit))):
        sys.__unraisablehook__(found)


def heed() -> None:
    """Raise once more for a signal whose error was swallowed."""
    number = came()
    handler = signal.getsignal(number) if number else None
    if isinstance(handler, Raising) and number:
        handler(number, None)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], int | None]]:
    """While active, the first signal is noted and a second one ends the program at once.

    Yields:
        A function that returns the number of the signal that came, or None.

    Raises:
        KeyboardInterrupt: one came before, and was swallowed; SystemExit for SIGTERM.
    """
    noted: list[int] = []
    heed()

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    # What a script starts in the background is told to ignore Ctrl-C: that goes to what is in the foreground.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield lambda: noted[0] if noted else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
